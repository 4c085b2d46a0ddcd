/** How fast lines go: by the user's own limits, by what the provider's headers say, and after its refusals. */
import { describe, expect, test } from 'vitest'
import { type ManualClock, manualClock } from '../../../oncekey/src/testing/clock.ts'
import { Limiter, type OwnLimits } from '../../src/batch/limiter.ts'
import { saidLimits } from '../../src/batch/limits.ts'

const none: OwnLimits = { requestsPerMinute: undefined, tokensPerMinute: undefined }
const cost = (tokens = 0): { tokens: number } => ({ tokens })

/** Asks for so many lines; each notes when it may go, ms. */
function many(limiter: Limiter, clock: ManualClock, count: number, tokens = 0): number[] {
  const atMs: number[] = []
  for (let line = 0; line < count; line++)
    void limiter.take(cost(tokens)).then((may) => may && atMs.push(clock.monotonicMs()))
  return atMs
}

describe("the user's own limits", () => {
  test('without any, all go at once', async () => {
    const clock = manualClock()
    const atMs = many(new Limiter(clock, none), clock, 100)
    await clock.advance(0)
    expect(atMs).toEqual(new Array(100).fill(0))
  })

  test('of requests a minute hold over every span of ten seconds', async () => {
    const clock = manualClock()
    const atMs = many(new Limiter(clock, { ...none, requestsPerMinute: 60 }), clock, 40)
    await clock.advance(60_000)
    expect(atMs).toHaveLength(40)
    for (const from of atMs)
      expect(atMs.filter((at) => at >= from && at < from + 10_000).length).toBeLessThanOrEqual(11)
    expect(atMs.at(-1)).toBeGreaterThanOrEqual(39_000)
    expect(atMs.at(-1)).toBeLessThanOrEqual(39_100)
  })

  test('of tokens a minute hold too, also for a line that is larger than a second of them', async () => {
    const clock = manualClock()
    const atMs = many(new Limiter(clock, { ...none, tokensPerMinute: 6_000 }), clock, 5, 1_000)
    await clock.advance(60_000)
    expect(atMs.map((at) => Math.round(at / 1_000))).toEqual([0, 10, 20, 30, 40])
  })

  test('are set right by what a call really took', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, { ...none, tokensPerMinute: 6_000 })
    await limiter.take(cost(100))
    limiter.correct(cost(100), 1_100)
    const atMs = many(limiter, clock, 1, 100)
    await clock.advance(60_000)
    expect(Math.round((atMs[0] ?? 0) / 1_000)).toBe(11)
  })

  test('do not count what was answered from the record', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, { ...none, requestsPerMinute: 6 })
    for (let line = 0; line < 50; line++) {
      expect(await limiter.take(cost())).toBe(true)
      limiter.end(cost(), 'spared')
    }
    expect(clock.monotonicMs()).toBe(0)
    await limiter.take(cost())
    limiter.end(cost(), 'taken')
    const atMs = many(limiter, clock, 1)
    await clock.advance(30_000)
    expect(atMs).toEqual([10_000])
  })
})

describe("the provider's limits", () => {
  test('are read as OpenAI writes them', () => {
    const headers = ['x-ratelimit-remaining-requests', '59', 'x-ratelimit-reset-requests', '1s']
    const tokens = ['X-RateLimit-Remaining-Tokens', '149984', 'x-ratelimit-reset-tokens', '6m0s']
    expect(saidLimits([...headers, ...tokens], 0)).toEqual({
      requests: { left: 59, resetMs: 1_000 },
      tokens: { left: 149_984, resetMs: 360_000 },
    })
    const reset = (text: string): number | undefined =>
      saidLimits(['x-ratelimit-remaining-requests', '1', 'x-ratelimit-reset-requests', text], 0).requests?.resetMs
    expect(['12ms', '1.5s', '1h2m3s', '7'].map(reset)).toEqual([12, 1_500, 3_723_000, 7_000])
    expect(['soon', '', '5x', '-1s'].map(reset)).toEqual([undefined, undefined, undefined, undefined])
  })

  test('are read as Anthropic writes them, of several kinds of tokens the scarcest', () => {
    const nowMs = Date.parse('2026-01-01T00:00:00Z')
    const fields = (what: string, left: number, at: string): string[] => [
      `anthropic-ratelimit-${what}-remaining`,
      String(left),
      `anthropic-ratelimit-${what}-reset`,
      at,
    ]
    const headers = [
      ...fields('requests', 7, '2026-01-01T00:00:05Z'),
      ...fields('tokens', 900, '2026-01-01T00:00:09Z'),
      ...fields('input-tokens', 800, '2026-01-01T00:00:08Z'),
      ...fields('output-tokens', 100, '2025-12-31T23:59:59Z'),
    ]
    expect(saidLimits(headers, nowMs)).toEqual({
      requests: { left: 7, resetMs: 5_000 },
      tokens: { left: 100, resetMs: 0 },
    })
  })

  test('hold lines back when nothing is left, and until there is more', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    limiter.heard(['x-ratelimit-remaining-requests', '3', 'x-ratelimit-reset-requests', '20s'])
    const atMs = many(limiter, clock, 5)
    await clock.advance(60_000)
    expect(atMs).toEqual([0, 0, 0, 20_000, 20_000])
  })

  test('of tokens hold back what is larger than what is left', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    limiter.heard(['x-ratelimit-remaining-tokens', '250', 'x-ratelimit-reset-tokens', '9s'])
    const atMs = many(limiter, clock, 3, 100)
    await clock.advance(60_000)
    expect(atMs).toEqual([0, 0, 9_000])
  })

  test('are nothing without a time of reset: a run would never go on', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    limiter.heard(['x-ratelimit-remaining-requests', '0'])
    const atMs = many(limiter, clock, 1)
    await clock.advance(0)
    expect(atMs).toEqual([0])
  })

  test('are waited for ten minutes at most, then the provider is asked', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    limiter.heard(['x-ratelimit-remaining-requests', '0', 'x-ratelimit-reset-requests', '23h'])
    const atMs = many(limiter, clock, 1)
    await clock.advance(3_600_000)
    expect(atMs).toEqual([600_000])
  })
})

describe('after a refusal', () => {
  test('nobody goes before its time', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    limiter.pause(5_000)
    limiter.pause(1_000)
    const atMs = many(limiter, clock, 3)
    await clock.advance(60_000)
    expect(atMs).toEqual([5_000, 5_000, 5_000])
  })

  test('half as many go at a time, and more again as the provider takes them', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    const going = async (count: number): Promise<number> => {
      const before = many(limiter, clock, count)
      await clock.advance(0)
      return before.length
    }
    expect(await going(8)).toBe(8)
    limiter.end(cost(), 'refused')
    // Seven run, four may: the next one goes when three are left.
    expect(await going(1)).toBe(0)
    for (let ended = 0; ended < 3; ended++) limiter.end(cost(), 'taken')
    await clock.advance(0)
    for (let ended = 0; ended < 40; ended++) {
      limiter.end(cost(), 'taken')
      await limiter.take(cost())
    }
    expect(await going(20)).toBeGreaterThan(3)
  })

  test('one at a time still goes, however often the provider refuses', async () => {
    const clock = manualClock()
    const limiter = new Limiter(clock, none)
    for (let round = 0; round < 5; round++) {
      expect(await limiter.take(cost())).toBe(true)
      limiter.end(cost(), 'refused')
    }
  })
})

test('a run that is stopped lets nobody go any more', async () => {
  const clock = manualClock()
  const limiter = new Limiter(clock, none)
  limiter.pause(60_000)
  const waiting = [limiter.take(cost()), limiter.take(cost())]
  await clock.advance(10)
  limiter.stop()
  expect(await Promise.all([...waiting, limiter.take(cost())])).toEqual([false, false, false])
  expect(clock.pending).toBe(0)
})
