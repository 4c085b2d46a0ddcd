/** An owner that is stopped past its lease and goes on afterwards: its word comes late, and never counts twice. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, freshKey, type Gateway, Stage, until } from '../e2e/harness.ts'
import { type Ask, differentBodies, type Heard, open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterEach(async () => {
  await Promise.all(running.splice(0).map((gateway) => gateway.end('SIGKILL')))
})
afterAll(() => stage.close())

const running: Gateway[] = []
const takenOver = 'took over an abandoned request'

async function pair(policy: string): Promise<[Gateway, Gateway]> {
  const store = stage.store()
  const flags = ['--lease', '1s', '--skew', '200ms', '--on-abandoned', policy]
  const start = (): Promise<Gateway> => stage.gateway({ upstream: sandbox.url, store, flags })
  const both = await Promise.all([start(), start()])
  running.push(...both)
  return both
}

/**
 * Stops a process between two writes. One that is stopped inside a write holds LMDB's lock, and then the others fail
 * closed (protocol.md, LMDB), which is not what these tests are about; renewals come every 333 ms and take under 10.
 */
async function pause(gateway: Gateway): Promise<void> {
  await sleep(60)
  gateway.child.kill('SIGSTOP')
}

/** The caller has either what is recorded, whole, or something that cannot be taken for whole. */
function expectRecordedOrCut(heard: Heard, recorded: Heard): void {
  expect(heard.whole ? [heard.status, heard.text] : 'cut').toEqual(heard.whole ? [200, recorded.text] : 'cut')
}

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
    sandbox.plan(['events=40, gap=20', 'events=6'])
    const late = open(a, ask)
    await late.has('word 3')
    const follower = open(b, ask)
    await follower.has('word 3')
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
    sandbox.plan(['delay=2600'])
    const late = open(a, ask)
    await called(sandbox, 1)
    await pause(a)
    // Past the lease and the margin; nobody asks meanwhile.
    await sleep(1_500)
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
