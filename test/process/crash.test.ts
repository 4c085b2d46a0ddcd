/** kill -9 and SIGTERM: what callers get, what is paid, and what a restart finds. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, freshKey, type Gateway, paid, Stage, until } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'
import { differentBodies, open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
/** The URL of a fresh store of the kind under test. */
let freshStore: () => string
beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

const leaseMs = 1_000
const skewMs = 200
const leases = ['--lease', `${leaseMs}ms`, '--skew', `${skewMs}ms`]
const takenOver = 'took over an abandoned request'

/** Gateways that share a new store; `again` starts another one on it. */
async function gateways(
  flags: readonly string[],
  count = 2,
): Promise<{ all: Gateway[]; again: () => Promise<Gateway> }> {
  const store = freshStore()
  const start = (): Promise<Gateway> => stage.gateway({ upstream: sandbox.url, store, flags: [...leases, ...flags] })
  return { all: await Promise.all(Array.from({ length: count }, start)), again: start }
}

describe.each(sharedStores)('over %s', (_, openStore) => {
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  describe('the owner is killed in the middle of its call', () => {
    test('under reexecute another process takes over when the lease is over: two calls, one answer', async () => {
      const { all } = await gateways([])
      const [a, b] = all as [Gateway, Gateway]
      const key = freshKey()
      const lost = open(a, { key, behave: 'delay=20000' })
      await called(sandbox, 1)
      // One who waited already when the owner died, and one who comes afterwards.
      const waiting = open(b, { key })
      await a.end('SIGKILL')
      const killedAt = Date.now()
      const late = open(b, { key })
      expect(await lost.heard).toMatchObject({ status: 0, whole: false })
      const [one, two] = await Promise.all([waiting.heard, late.heard])
      expect([one.status, two.status]).toEqual([200, 200])
      expect([one.how, two.how].sort()).toEqual(['executed', 'joined'])
      const again = await send(b, { key })
      expect(again.how).toBe('replayed')
      expect(differentBodies([one, two, again])).toBe(1)
      expect(one.text).toContain('Answer 2 (')
      expect(sandbox.calls).toHaveLength(2)
      expect(b.logged(takenOver)).toBe(1)
      const tookMs = (sandbox.calls[1]?.startedAt ?? 0) - killedAt
      // The last renewal was at most a third of the lease ago.
      expect(tookMs).toBeGreaterThanOrEqual((leaseMs * 2) / 3 + skewMs - 100)
      expect(tookMs).toBeLessThanOrEqual(leaseMs + skewMs + 1_500)
    })

    test('under unknown nobody runs it again, now or after a restart', async () => {
      const { all, again } = await gateways(['--on-abandoned', 'unknown'])
      const [a, b] = all as [Gateway, Gateway]
      const key = freshKey()
      const lost = open(a, { key, behave: 'delay=20000' })
      await called(sandbox, 1)
      const waiting = open(b, { key })
      await a.end('SIGKILL')
      expect(await lost.heard).toMatchObject({ status: 0, whole: false })
      const told = await Promise.all([waiting.heard, send(b, { key })])
      await b.end('SIGKILL')
      const restarted = await again()
      told.push(await send(restarted, { key }))
      for (const heard of told) {
        expect([heard.status, heard.code, heard.how]).toEqual([409, 'outcome_unknown', 'refused'])
        expect(heard.headers['x-should-retry']).toBe('false')
        expect(JSON.parse(heard.text)).toMatchObject({ safe_to_use_new_key: false })
      }
      expect(sandbox.calls).toHaveLength(1)
      // Another key is another wish.
      expect((await send(restarted, { key: freshKey() })).status).toBe(200)
    })

    test('a stream: its caller and one who joined elsewhere are cut; the next one gets a whole stream', async () => {
      const { all } = await gateways([])
      const [a, b] = all as [Gateway, Gateway]
      const ask = { key: freshKey(), stream: true }
      const owner = open(a, { ...ask, behave: 'events=2000, gap=30' })
      await owner.has('word 3')
      const joiner = open(b, ask)
      await joiner.has('word 3')
      await a.end('SIGKILL')
      const next = open(b, ask)
      const [one, two] = await Promise.all([owner.heard, joiner.heard])
      expect([one.status, one.whole]).toEqual([200, false])
      expect([two.status, two.whole, two.how]).toEqual([200, false, 'joined'])
      expect(one.text.startsWith(two.text)).toBe(true)
      // Whoever joins a dead stream before its lease is over gets half of it and is cut as well: ask until it is whole.
      let whole = await next.heard
      for (let tries = 0; !whole.whole && tries < 5; tries++) whole = await send(b, ask)
      expect([whole.status, whole.whole]).toEqual([200, true])
      expect(whole.text).toContain('Answer 2 (')
      expect(whole.text).not.toContain('Answer 1 (')
      expect(whole.text).toMatch(/data: \[DONE\]\n\n$/)
      expect(sandbox.calls).toHaveLength(2)
      expect(b.logged(takenOver)).toBe(1)
    })

    test('a stream under unknown: the one who joined is cut, and what half was recorded is never replayed', async () => {
      const { all, again } = await gateways(['--on-abandoned', 'unknown'])
      const [a, b] = all as [Gateway, Gateway]
      const ask = { key: freshKey(), stream: true }
      const owner = open(a, { ...ask, behave: 'events=2000, gap=30' })
      await owner.has('word 3')
      const joiner = open(b, ask)
      await joiner.has('word 3')
      await a.end('SIGKILL')
      expect(await joiner.heard).toMatchObject({ status: 200, whole: false })
      await until(() => (sandbox.calls[0]?.endedAt ?? 0) > 0, 'the provider has lost its client')
      for (const gateway of [b, await again()])
        expect(await send(gateway, ask)).toMatchObject({ status: 409, code: 'outcome_unknown' })
      expect(sandbox.calls).toHaveLength(1)
    })
  })

  describe('the owner is killed after it has settled', () => {
    for (const policy of ['reexecute', 'unknown']) {
      test(`a restart replays under ${policy}: no new call`, async () => {
        const { all, again } = await gateways(['--on-abandoned', policy], 1)
        const [a] = all as [Gateway]
        const asks = [false, true].map((stream) => ({ key: freshKey(), stream }))
        const first = await Promise.all(asks.map((ask) => send(a, ask)))
        await a.end('SIGKILL')
        const b = await again()
        for (const [at, ask] of asks.entries()) {
          const heard = await send(b, ask)
          expect([heard.how, heard.text, heard.whole]).toEqual(['replayed', first[at]?.text, true])
          expect(paid(sandbox, ask.key)).toBe(1)
        }
        expect(sandbox.calls).toHaveLength(2)
      })
    }
  })

  describe('SIGTERM', () => {
    test('lets running calls, streams and drains finish; the restart replays them', async () => {
      const { all, again } = await gateways([], 1)
      const [a] = all as [Gateway]
      const plain = { key: freshKey() }
      const stream = { key: freshKey(), stream: true }
      const drained = { key: freshKey() }
      const one = open(a, { ...plain, behave: 'delay=900' })
      const two = open(a, { ...stream, behave: 'events=20, gap=50' })
      const gone = open(a, { ...drained, behave: 'delay=900' })
      await called(sandbox, 3)
      await answeringTo(stream.key)
      gone.hangUp()
      await gone.heard
      const exit = a.end('SIGTERM')
      await until(() => a.logged('stopping: running requests go on') === 1, 'the gateway has heard the signal')
      const refused = await send(a, { key: freshKey() })
      expect([refused.status, refused.code, refused.headers.connection]).toEqual([503, 'shutting_down', 'close'])
      const [first, second] = await Promise.all([one.heard, two.heard])
      expect([first.status, first.whole, second.status, second.whole]).toEqual([200, true, 200, true])
      expect(second.text).toMatch(/data: \[DONE\]\n\n$/)
      expect(await exit).toEqual({ code: 0, signal: null })
      const b = await again()
      const replays = await Promise.all([plain, stream, drained].map((ask) => send(b, ask)))
      expect(replays.map(({ how }) => how)).toEqual(['replayed', 'replayed', 'replayed'])
      expect([replays[0]?.text, replays[1]?.text]).toEqual([first.text, second.text])
      expect(sandbox.calls).toHaveLength(3)
      expect(sandbox.calls.filter(({ aborted }) => aborted)).toHaveLength(0)
    })

    for (const [policy, status, calls] of [
      ['unknown', 409, 1],
      ['reexecute', 200, 2],
    ] as const) {
      test(`at the end of the grace what runs is cut, and ends by policy: ${policy}`, async () => {
        const { all, again } = await gateways(['--on-abandoned', policy, '--stop-grace', '300ms'], 1)
        const [a] = all as [Gateway]
        const key = freshKey()
        sandbox.plan(['delay=20000'])
        const cut = open(a, { key })
        await called(sandbox, 1)
        expect(await a.end('SIGTERM')).toEqual({ code: 1, signal: null })
        expect(await cut.heard).toMatchObject({ status: 0, whole: false })
        const heard = await send(await again(), { key })
        expect(heard.status).toBe(status)
        expect(sandbox.calls).toHaveLength(calls)
      })
    }
  })

  /** The call of this marker has begun its answer. */
  function answeringTo(marker: string): Promise<void> {
    return until(
      () => sandbox.calls.some((call) => call.marker === marker && call.bytesSent > 0),
      'the stream has begun',
    )
  }
})
