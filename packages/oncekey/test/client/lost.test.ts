/** Who tries again by calling fetch again, as SDKs do, keeps the key of the call that was lost. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { idempotentFetch } from '../../src/client/index.ts'
import { broken, cut, hastyClock, type Server, scripted, whole } from './world.ts'

let server: Server
beforeAll(async () => {
  server = await scripted()
})
afterAll(() => server.close())

const post = { method: 'POST', body: '{"wish":1}' }
const counted = (count: number, more: RequestInit = {}): RequestInit => ({
  ...post,
  headers: { 'x-stainless-retry-count': String(count) },
  ...more,
})
const keys = (): (string | undefined)[] => server.asked.map(({ key }) => key)

/** A fetch that does not try again by itself, so that each of its calls is one request. */
const once = (clock = hastyClock()) => idempotentFetch({ clock, retries: 0 })

describe('the key of a lost call', () => {
  test('goes to the SDK’s next try, declared or not, and is kept over all of them', async () => {
    for (const inits of [
      [counted(0), counted(1), counted(2)],
      [post, post, post],
      [counted(0), counted(0), counted(0)],
    ]) {
      server.script(broken, whole(503), whole(200))
      const ask = once()
      await expect(ask(server.url, inits[0])).rejects.toThrow()
      expect((await ask(server.url, inits[1])).status).toBe(503)
      expect((await ask(server.url, inits[2])).status).toBe(200)
      expect(new Set(keys()).size, JSON.stringify(inits)).toBe(1)
    }
  })
  test('goes to one call, and not to a wish that looks alike', async () => {
    server.script(broken, whole(200))
    const ask = once()
    await expect(ask(server.url, post)).rejects.toThrow()
    await ask(server.url, post)
    await ask(server.url, post)
    const [lost, first, second] = keys()
    expect(first).toBe(lost)
    expect(second).not.toBe(lost)
  })
  test('goes to one each of two that were lost', async () => {
    server.script(broken, broken, whole(200))
    const ask = once()
    await Promise.allSettled([ask(server.url, post), ask(server.url, post)])
    await Promise.all([ask(server.url, post), ask(server.url, post)])
    const [one, two, ...again] = keys()
    expect(one).not.toBe(two)
    expect(again.sort()).toEqual([one, two].sort())
  })
  test('goes to nobody after an answer, nor with another body, path, method, count or credential', async () => {
    server.script(whole(200))
    const answered = once()
    await answered(server.url, post)
    await answered(server.url, post)
    expect(new Set(keys()).size).toBe(2)
    for (const [at, other] of [
      [server.url, { ...post, body: '{"wish":2}' }],
      [`${server.url}?x=1`, post],
      [server.url, { ...post, method: 'PATCH' }],
      [server.url, counted(2)],
      [server.url, { ...post, headers: { authorization: 'Bearer other' } }],
    ] as const) {
      server.script(broken, whole(200))
      const ask = once()
      await expect(ask(server.url, post)).rejects.toThrow()
      await ask(at, other)
      expect(new Set(keys()).size).toBe(2)
    }
  })
  test('goes to nobody who hands over a Request, for its body cannot be compared', async () => {
    server.script(broken, whole(200))
    const ask = once()
    await expect(ask(new Request(server.url, post))).rejects.toThrow()
    await ask(new Request(server.url, { ...post, body: '{"wish":2}' }))
    expect(new Set(keys()).size).toBe(2)
  })
  test('goes to a declared retry of a call that the SDK’s time-out ended, and to no other', async () => {
    for (const [next, isKept] of [
      [counted(1), true],
      [counted(0), false],
      [post, false],
    ] as const) {
      const timeout = new AbortController()
      server.script(() => timeout.abort(), whole(200))
      const ask = once()
      await expect(ask(server.url, counted(0, { signal: timeout.signal }))).rejects.toThrow()
      await ask(server.url, next)
      expect(new Set(keys()).size).toBe(isKept ? 1 : 2)
    }
  })
  test('goes to the repetition of a stream that could not be mended', async () => {
    const executed = { 'idempotency-status': 'executed', 'content-type': 'text/event-stream' }
    server.script(cut(executed, 'data: 1\n\n'), whole(404), whole(200))
    const ask = idempotentFetch({ clock: hastyClock() })
    await expect((await ask(server.url, post)).text()).rejects.toThrow(/404/)
    await ask(server.url, post)
    expect(new Set(keys()).size).toBe(1)
    expect(keys()).toHaveLength(3)
  })
  test('is forgotten after ten minutes', async () => {
    for (const [laterMs, isKept] of [
      [599_000, true],
      [600_001, false],
    ] as const) {
      server.script(broken, whole(200))
      const clock = hastyClock()
      const ask = once(clock)
      await expect(ask(server.url, post)).rejects.toThrow()
      clock.setTimer(laterMs, () => undefined)
      await ask(server.url, post)
      expect(new Set(keys()).size).toBe(isKept ? 1 : 2)
    }
  })
  test('is not used where the caller makes the keys', async () => {
    server.script(broken, whole(200))
    let made = 0
    const ask = idempotentFetch({ clock: hastyClock(), retries: 0, key: () => `k${made++}` })
    await expect(ask(server.url, post)).rejects.toThrow()
    await ask(server.url, post)
    expect(keys()).toEqual(['"k0"', '"k1"'])
  })
})
