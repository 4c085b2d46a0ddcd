/** Declared retries on the exchange: a store that is away, owners that are believed dead, callers that come and go. */
import { describe, expect, test } from 'vitest'
import type { UpstreamEvents } from '../../src/http/caller.ts'
import { type Got, utf8, world } from './world.ts'

const retries = { keyless: 'retries' } as const
const codeOf = (caller: Got): unknown => (JSON.parse(caller.text) as { code: unknown }).code

describe('the store is away', () => {
  test('a keyless request is refused after five seconds, nothing is executed, and it may be retried', async () => {
    const { clock, send, calls } = world(retries, (call) => (call === 'keyless' ? 'fail' : undefined))
    for (const count of [0, 1]) {
      const { caller } = send({ count })
      await clock.advance(4_000)
      expect(caller.started).toBe(false)
      await clock.advance(2_000)
      expect([caller.status, caller.header('x-should-retry'), codeOf(caller)]).toEqual([
        503,
        'true',
        'store_unavailable',
      ])
    }
    expect(calls).toHaveLength(0)
  })

  test('a route that fails open hands the keyless request back to be passed through', async () => {
    const { clock, send } = world({ ...retries, failOpen: true }, (call) => (call === 'keyless' ? 'fail' : undefined))
    const { done } = send({ count: 0 })
    await clock.advance(6_000)
    expect(await done).toBe('bypass')
  })

  test('a store that was away for a second costs a keyless request a second', async () => {
    let away = true
    const { clock, send, calls, answer } = world(retries, (call) => (call === 'keyless' && away ? 'fail' : undefined))
    const { caller } = send({ count: 0 })
    await clock.advance(1_000)
    away = false
    await clock.advance(1_500)
    answer(calls[0]?.events as UpstreamEvents)
    await clock.advance(1)
    expect([caller.status, caller.header('idempotency-status')]).toEqual([200, 'executed'])
  })

  test('a caller that leaves meanwhile is noted when it is back, so that the retry finds the attempt', async () => {
    let away = false
    const { clock, send, calls, answer } = world(retries, (call) => (call === 'keyless' && away ? 'fail' : undefined))
    const { caller } = send({ count: 0 })
    await clock.advance(1)
    away = true
    caller.leave()
    await clock.advance(1_000)
    away = false
    await clock.advance(1_500)
    const retry = send({ count: 1 })
    await clock.advance(1)
    answer(calls[0]?.events as UpstreamEvents)
    await clock.advance(1)
    expect([retry.caller.status, retry.caller.header('idempotency-status')]).toEqual([200, 'inferred'])
    expect(calls).toHaveLength(1)
  })

  test('a call whose retry may wait elsewhere is not broken off because the store cannot say so', async () => {
    let away = false
    const { clock, send, calls, stream } = world(
      retries,
      (call) => (call === 'keyless' && away ? 'fail' : undefined),
      2,
    )
    const first = send({ count: 0 })
    await clock.advance(1)
    const events = calls[0]?.events as UpstreamEvents
    stream(events, 'data: 1\n\n')
    first.caller.leave()
    await clock.advance(1)
    const retry = send({ count: 1, at: 1 })
    await clock.advance(100)
    away = true
    await clock.advance(32_000)
    away = false
    events.data(utf8.encode('data: [DONE]\n\n'))
    events.end([])
    await clock.advance(1_000)
    expect(calls.map(({ aborted }) => aborted)).toEqual([false])
    expect(retry.caller.text).toMatch(/^data: 1\n\n(?:: keep-alive\n\n)+data: \[DONE\]\n\n$/)
    expect([retry.caller.header('idempotency-status'), retry.caller.ended, calls.length]).toEqual(['inferred', true, 1])
  })
})

describe('an owner that is believed dead and lives', () => {
  test('gives its caller its own answer, not the one of the wish that took its attempt over', async () => {
    let frozen = false
    const { clock, send, calls, answer } = world(
      retries,
      (call, at) => (frozen && at === 0 && call === 'renew' ? 'hang' : undefined),
      2,
    )
    const one = send({ count: 0 })
    await clock.advance(1)
    frozen = true
    await clock.advance(40_000)
    // Another wish that looks alike, and got a 429 for its first try.
    const other = send({ count: 1, at: 1 })
    await clock.advance(300)
    expect(calls).toHaveLength(2)
    answer(calls[1]?.events as UpstreamEvents, '{"answer":2}')
    await clock.advance(300)
    answer(calls[0]?.events as UpstreamEvents, '{"answer":1}')
    await clock.advance(1_000)
    expect([other.caller.text, one.caller.text]).toEqual(['{"answer":2}', '{"answer":1}'])
    expect(one.caller.header('idempotency-status')).toBe('executed')
    expect(one.caller.header('idempotency-recorded')).toBe('?0')
  })
})

describe('under content', () => {
  test('a call that somebody follows in another process goes on when its own caller has gone', async () => {
    const { clock, send, calls, answer } = world({ keyless: 'content' }, undefined, 2)
    const { caller } = send({})
    await clock.advance(1)
    caller.leave()
    const same = send({ at: 1 })
    await clock.advance(60_000)
    expect(calls.map(({ aborted }) => aborted)).toEqual([false])
    answer(calls[0]?.events as UpstreamEvents)
    await clock.advance(1_000)
    expect([same.caller.text, same.caller.header('idempotency-status')]).toEqual(['{"ok":true}', 'inferred'])
    expect(calls).toHaveLength(1)
  })
})
