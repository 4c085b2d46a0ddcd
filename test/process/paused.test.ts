/** An owner that is stopped past its lease and goes on afterwards: its word comes late, and never counts twice. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, freshKey, type Gateway, Stage, until } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'
import { type Ask, differentBodies, type Heard, insist, open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
/** The URL of a fresh store of the kind under test. */
let freshStore: () => string
beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterEach(async () => {
  await Promise.all(running.splice(0).map((gateway) => gateway.end('SIGKILL')))
})
afterAll(() => stage.close())

const running: Gateway[] = []
const leaseMs = 2_000
const takenOver = 'took over an abandoned request'

async function pair(policy: string, store = freshStore()): Promise<[Gateway, Gateway]> {
  const flags = ['--lease', `${leaseMs}ms`, '--skew', '200ms', '--on-abandoned', policy]
  const start = (): Promise<Gateway> => stage.gateway({ upstream: sandbox.url, store, flags })
  const both = await Promise.all([start(), start()])
  running.push(...both)
  return both
}

/**
 * Stops a process between two writes: its claim has been flushed by then, and the first renewal comes a third of the
 * lease after the claim. One that is stopped inside a write blocks the others, which the last test is about.
 */
async function pause(gateway: Gateway): Promise<void> {
  await sleep(150)
  gateway.child.kill('SIGSTOP')
}

/** The caller has either what is recorded, whole, or something that cannot be taken for whole. */
function expectRecordedOrCut(heard: Heard, recorded: Heard): void {
  expect(heard.whole ? [heard.status, heard.text] : 'cut').toEqual(heard.whole ? [200, recorded.text] : 'cut')
}

describe.each(sharedStores)('over %s', (_, openStore) => {
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  describe('under reexecute, another process has taken over and answered', () => {
    test('the late owner gives its caller the recorded answer, not its own', async () => {
      const [a, b] = await pair('reexecute')
      const ask: Ask = { key: freshKey() }
      sandbox.plan(['delay=600'])
      const late = open(a, ask)
      await called(sandbox, 1)
      await pause(a)
      const recorded = await send(b, ask)
      expect([recorded.how, recorded.whole]).toEqual(['executed', true])
      expect(recorded.text).toContain('Answer 2 (')
      expect(b.logged(takenOver)).toBe(1)
      // The provider has answered the first call too: it waits in the socket of the one that is stopped.
      await until(() => sandbox.calls[0]?.endedAt !== undefined, 'the first call has been answered')
      expect(sandbox.calls[0]?.aborted).toBe(false)
      expect(late.status).toBe(0)
      a.child.kill('SIGCONT')
      const own = await late.heard
      expect([own.status, own.whole, own.how, own.text]).toEqual([200, true, 'joined', recorded.text])
      for (const gateway of [a, b]) {
        const again = await send(gateway, ask)
        expect([again.how, again.text]).toEqual(['replayed', recorded.text])
      }
      expect(sandbox.calls).toHaveLength(2)
    })

    test('a late stream is cut for its caller and for its follower; the record keeps the newer one', async () => {
      const [a, b] = await pair('reexecute')
      const ask: Ask = { key: freshKey(), stream: true }
      // Silent from word 3 on, so that nothing is being written when the owner is stopped.
      sandbox.plan(['events=8, silence=800', 'events=6'])
      const late = open(a, ask)
      await late.has('word 2')
      const follower = open(b, ask)
      await follower.has('word 2')
      await pause(a)
      // The follower has bytes of an attempt whose lease runs out: it never goes on with another attempt's.
      const followed = await follower.heard
      expect([followed.status, followed.whole, followed.how]).toEqual([200, false, 'joined'])
      let recorded = await send(b, ask)
      for (let tries = 0; !recorded.whole && tries < 5; tries++) recorded = await send(b, ask)
      expect(recorded.text).toContain('Answer 2 (')
      await until(() => sandbox.calls[0]?.endedAt !== undefined, 'the first stream has been sent')
      a.child.kill('SIGCONT')
      const own = await late.heard
      expect(own.text).toContain('Answer 1 (')
      expect(own.whole).toBe(false)
      for (const gateway of [a, b]) {
        const again = await send(gateway, ask)
        expect([again.how, again.text]).toEqual(['replayed', recorded.text])
      }
      expect(sandbox.calls).toHaveLength(2)
    })

    test('the late owner wakes up while the newer attempt runs: both callers get that one', async () => {
      const [a, b] = await pair('reexecute')
      const ask: Ask = { key: freshKey() }
      sandbox.plan(['delay=600', 'delay=2500'])
      const late = open(a, ask)
      await called(sandbox, 1)
      await pause(a)
      const newer = open(b, ask)
      await called(sandbox, 2)
      await until(() => sandbox.calls[0]?.endedAt !== undefined, 'the first call has been answered')
      a.child.kill('SIGCONT')
      const [own, recorded] = await Promise.all([late.heard, newer.heard])
      expect([recorded.how, recorded.whole]).toEqual(['executed', true])
      expect(recorded.text).toContain('Answer 2 (')
      expectRecordedOrCut(own, recorded)
      expect(own.whole).toBe(true)
      expect(await send(a, ask)).toMatchObject({ how: 'replayed', text: recorded.text })
      expect(sandbox.calls).toHaveLength(2)
    })
  })

  describe('nobody has taken over', () => {
    test('a lapsed lease revives and the answer is recorded', async () => {
      const [a, b] = await pair('reexecute')
      const ask: Ask = { key: freshKey() }
      sandbox.plan([`delay=${leaseMs + 1_500}`])
      const late = open(a, ask)
      await called(sandbox, 1)
      await pause(a)
      // Past the lease and the margin; nobody asks meanwhile.
      await sleep(leaseMs + 500)
      a.child.kill('SIGCONT')
      const own = await late.heard
      expect([own.status, own.whole, own.how]).toEqual([200, true, 'executed'])
      const again = await send(b, ask)
      expect([again.how, again.text]).toEqual(['replayed', own.text])
      expect(sandbox.calls).toHaveLength(1)
    })

    test('under unknown the late truth ends what others were told is unknown', async () => {
      const [a, b] = await pair('unknown')
      const ask: Ask = { key: freshKey() }
      sandbox.plan(['delay=600'])
      const late = open(a, ask)
      await called(sandbox, 1)
      await pause(a)
      expect(await send(b, ask)).toMatchObject({ status: 409, code: 'outcome_unknown' })
      a.child.kill('SIGCONT')
      const own = await late.heard
      expect([own.status, own.whole, own.how]).toEqual([200, true, 'executed'])
      const again = await send(b, ask)
      expect([again.how, again.text]).toEqual(['replayed', own.text])
      expect(differentBodies([own, again])).toBe(1)
      expect(sandbox.calls).toHaveLength(1)
    })
  })
})

describe('an owner that is stopped inside a write of LMDB', () => {
  test('makes the others fail closed: nothing runs, and they go on when it goes on', { timeout: 120_000 }, async () => {
    const [a, b] = await pair('unknown', stage.store())
    const streams = Array.from({ length: 8 }, () =>
      open(a, { key: freshKey(), stream: true, behave: 'events=20000, gap=1' }),
    )
    await Promise.all(streams.map((stream) => stream.has('word 3')))
    let refused: Heard | undefined
    let key = ''
    let tries = 0
    for (; refused === undefined && tries < 100; tries++) {
      key = freshKey()
      a.child.kill('SIGSTOP')
      const asked = open(b, { key })
      // Far longer than a claim takes, far shorter than a blocked one.
      const first = await Promise.race([asked.heard, sleep(1_000, undefined)])
      if (first === undefined) refused = await asked.heard
      else expect(first.status).toBe(200)
      if (refused === undefined) a.child.kill('SIGCONT')
      await sleep(7)
    }
    console.log(`stopped inside a write after ${tries} tries`)
    expect([refused?.status, refused?.code]).toEqual([503, 'store_unavailable'])
    expect(sandbox.calls.filter(({ marker }) => marker === key)).toHaveLength(0)
    a.child.kill('SIGCONT')
    const again = await insist(b, { key })
    expect([again.status, again.how]).toEqual([200, 'executed'])
    expect(sandbox.calls.filter(({ marker }) => marker === key)).toHaveLength(1)
    for (const stream of streams) stream.hangUp()
  })
})
