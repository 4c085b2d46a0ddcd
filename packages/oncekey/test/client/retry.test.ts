/** When a call is asked again, how long it waits for that, and what ends it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { idempotentFetch } from '../../src/client/index.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { type Answer, broken, hastyClock, noChance, type Server, scripted, whole } from './world.ts'

let server: Server
beforeAll(async () => {
  server = await scripted()
})
afterAll(() => server.close())

const post = { method: 'POST', body: '{"wish":1}' }
const wallMs = Date.parse('Tue, 24 Nov 2026 12:00:00 GMT')

/** Asks once through a script; the pauses are what was waited before each retry. */
async function asked(options: { retries?: number; waitMs?: number }, ...answers: Answer[]) {
  server.script(...answers)
  const clock = hastyClock(wallMs)
  const answer = await idempotentFetch({ ...options, clock, random: noChance })(server.url, post).catch(
    (error: Error) => error,
  )
  const keys = new Set(server.asked.map(({ key, body }) => `${key} ${body}`))
  return {
    outcome: answer instanceof Error ? answer.message : answer.status,
    times: server.asked.length,
    requests: keys.size,
    pausesMs: clock.pausesMs,
  }
}

describe('a call is asked again with the same key and body', () => {
  test('after a connection that broke', async () => {
    expect(await asked({}, broken, broken, whole(200))).toEqual({
      outcome: 200,
      times: 3,
      requests: 1,
      pausesMs: [500, 1000],
    })
  })
  for (const status of [408, 429, 500, 502, 503, 504, 529]) {
    test(`after a ${status}`, async () => {
      expect(await asked({}, whole(status), whole(200))).toMatchObject({ outcome: 200, times: 2, requests: 1 })
    })
  }
  for (const status of [200, 202, 301, 400, 401, 404, 409, 410, 413, 422]) {
    test(`and not after a ${status} without a word`, async () => {
      expect(await asked({}, whole(status), whole(200))).toMatchObject({ outcome: status, times: 1 })
    })
  }
  test('after a 409 that says when', async () => {
    expect(await asked({}, whole(409, { 'retry-after': '3' }), whole(200))).toMatchObject({ pausesMs: [3000] })
  })
  test('where x-should-retry says so, and never where it says not', async () => {
    expect(await asked({}, whole(409, { 'x-should-retry': 'true' }), whole(200))).toMatchObject({ outcome: 200 })
    expect(await asked({}, whole(400, { 'x-should-retry': 'true' }), whole(200))).toMatchObject({ outcome: 200 })
    for (const status of [409, 429, 500])
      expect(await asked({}, whole(status, { 'x-should-retry': 'false', 'retry-after': '1' }), whole(200))).toEqual({
        outcome: status,
        times: 1,
        requests: 1,
        pausesMs: [],
      })
  })
  test('also a GET, which has no key', async () => {
    server.script(broken, whole(503), whole(200))
    expect((await idempotentFetch({ clock: hastyClock() })(server.url)).status).toBe(200)
    expect(server.asked.map(({ key }) => key)).toEqual([undefined, undefined, undefined])
  })
  test('also from a Request and a form', async () => {
    server.script(broken, whole(200))
    const ask = idempotentFetch({ clock: hastyClock() })
    await ask(new Request(server.url, post))
    expect(server.asked.map(({ body }) => body)).toEqual([post.body, post.body])
    server.script(broken, whole(200))
    const form = new FormData()
    form.set('file', new Blob(['bytes']), 'name.txt')
    await ask(server.url, { method: 'POST', body: form })
    expect(server.asked.map(({ body }) => body.includes('bytes'))).toEqual([true, true])
  })
})

describe('the pause', () => {
  const hints: readonly [headers: Record<string, string>, pauseMs: number][] = [
    [{ 'retry-after-ms': '1234' }, 1234],
    [{ 'retry-after-ms': '70', 'retry-after': '9' }, 70],
    [{ 'retry-after-ms': 'soon', 'retry-after': '9' }, 9000],
    [{ 'retry-after': '2' }, 2000],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '-5' }, 0],
    [{ 'retry-after': '90' }, 90_000],
    [{ 'retry-after': 'Tue, 24 Nov 2026 12:00:07 GMT' }, 7000],
    [{ 'retry-after': 'Tue, 24 Nov 2026 11:00:00 GMT' }, 0],
    [{ 'retry-after': 'soon' }, 500],
    [{ 'retry-after-ms': '' }, 500],
  ]
  for (const [headers, pauseMs] of hints) {
    test(`after ${JSON.stringify(headers)} is ${pauseMs} ms`, async () => {
      expect((await asked({}, whole(503, headers), whole(200))).pausesMs).toEqual([pauseMs])
    })
  }
  test('doubles up to eight seconds, less a quarter at most by chance', async () => {
    expect((await asked({ retries: 7 }, broken)).pausesMs).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000])
    server.script(broken, whole(200))
    const clock = hastyClock()
    await idempotentFetch({ clock, random: { ...noChance, fraction: () => 0.999 } })(server.url, post)
    expect(clock.pausesMs[0]).toBeCloseTo(375, 0)
  })
})

describe('a call is over', () => {
  test('after its retries, with the last answer or the last error', async () => {
    expect(await asked({}, whole(503))).toMatchObject({ outcome: 503, times: 6 })
    expect(await asked({ retries: 2 }, broken)).toMatchObject({ outcome: 'fetch failed', times: 3 })
    expect(await asked({ retries: 0 }, whole(503))).toMatchObject({ outcome: 503, times: 1 })
  })
  test('when the next try would begin after waitMs, at once and with the answer', async () => {
    expect(await asked({ waitMs: 2000 }, whole(503))).toMatchObject({ outcome: 503, times: 3, pausesMs: [500, 1000] })
    expect(await asked({ waitMs: 60_000 }, whole(429, { 'retry-after': '61' }))).toMatchObject({
      outcome: 429,
      times: 1,
    })
  })
  test('when its body can be read only once', async () => {
    server.script(broken, whole(200))
    const body = new Blob(['bytes']).stream()
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit
    await expect(idempotentFetch({ clock: hastyClock() })(server.url, init)).rejects.toThrow('fetch failed')
    expect(server.asked).toHaveLength(1)
    expect(server.asked[0]?.key).toMatch(/^"/)
  })
  test('at once when its signal fires in a pause', async () => {
    server.script(broken)
    const clock = manualClock()
    const leaving = new AbortController()
    const asking = idempotentFetch({ clock })(server.url, { ...post, signal: leaving.signal })
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve))
    leaving.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
    expect(clock.pending).toBe(0)
    expect(server.asked).toHaveLength(1)
  })
  test('at once when its signal fires while the server works, in init or in the Request', async () => {
    for (const inRequest of [false, true]) {
      const leaving = new AbortController()
      server.script(() => leaving.abort(new Error('enough')))
      const clock = hastyClock()
      const init = { ...post, signal: leaving.signal }
      const ask = idempotentFetch({ clock })
      const asking = inRequest ? ask(new Request(server.url, init)) : ask(server.url, init)
      await expect(asking).rejects.toThrow('enough')
      expect(clock.pausesMs).toEqual([])
    }
  })
  test('at once when it can never be sent', async () => {
    const clock = hastyClock()
    await expect(idempotentFetch({ clock })('nowhere', post)).rejects.toThrow()
    await expect(idempotentFetch({ clock })(server.url, { headers: { 'a b': 'c' } })).rejects.toThrow()
    expect(clock.pausesMs).toEqual([])
  })
})
