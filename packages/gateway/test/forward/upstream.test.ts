/** What a caller's own mistakes do to the circuit of an upstream: nothing. */
import { Readable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { type ForwardRequest, Upstream } from '../../src/forward/upstream.ts'

const upstream = new Upstream(new URL('http://127.0.0.1:1'))
afterEach(() => upstream.close())

/** Calls again and again, for longer than a circuit takes to open. */
async function insist(request: () => Partial<ForwardRequest>): Promise<string[]> {
  const reasons = new Set<string>()
  const endMs = performance.now() + 1_300
  for (let count = 0; count < 8 || performance.now() < endMs; count++) {
    const sent = { method: 'POST', target: '/', headers: [], body: null, timeoutMs: 1_000, ...request() }
    await new Promise<void>((resolve) => {
      upstream.call(sent, {
        head: () => undefined,
        data: () => undefined,
        end: () => undefined,
        fail: ({ sent, cause }) => {
          reasons.add(`${sent} ${(cause as NodeJS.ErrnoException | undefined)?.code}`)
          setTimeout(resolve, 5)
        },
      })
    })
  }
  return [...reasons]
}

test('requests that undici refuses, and bodies that break, shut it for nobody; failed connects do', async () => {
  expect(await insist(() => ({ headers: ['X-A', 'b\r\nX-Smuggled: c'] }))).toEqual(['false UND_ERR_INVALID_ARG'])
  expect(upstream.isAway).toBe(false)
  const broken = (): Readable => new Readable({ read: () => undefined }).destroy(new Error('hung up'))
  await insist(() => ({ body: broken() }))
  expect(upstream.isAway).toBe(false)
  expect(await insist(() => ({}))).toEqual(['false ECONNREFUSED', 'false undefined'])
  expect(upstream.isAway).toBe(true)
})
