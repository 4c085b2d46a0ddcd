/** `DELETE /v1/records/{id}` of what runs, whichever process runs it: the call is stopped, and its record never a success. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Admin } from '../e2e/admin.ts'
import { called, freshKey, type Gateway, ledgerOf, paid, Stage, until } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'
import { open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

const gone = (count = 1) =>
  until(() => sandbox.calls.filter(({ aborted }) => aborted).length === count, `${count} calls were broken off`, 8_000)

describe.each(sharedStores)('over %s', (_, openStore) => {
  let freshStore: () => string
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  function start(store: string, ...flags: string[]): Promise<Gateway> {
    const own = ['--lease', '1s', '--skew', '200ms', '--admin-port', '0', ...flags]
    return stage.gateway({ upstream: sandbox.url, store, flags: own })
  }

  /** A gateway tells its own processes at once, which such a lease would not for ten seconds. */
  const long = ['--lease', '30s']
  type Begun = Promise<{ runs: Gateway; admin: Admin }>
  /** Who runs it, the lease of a cancel there, and whose admin side is asked. */
  const places: readonly (readonly [string, readonly string[], (flags: string[]) => Begun])[] = [
    [
      'the same process',
      long,
      async (flags) => {
        const runs = await start(freshStore(), ...flags)
        return { runs, admin: new Admin(runs.stdout) }
      },
    ],
    [
      'a worker',
      long,
      async (flags) => {
        const runs = await start(freshStore(), '--workers', '2', ...flags)
        return { runs, admin: new Admin(runs.stdout) }
      },
    ],
    [
      'another gateway',
      [],
      async (flags) => {
        const store = freshStore()
        const [runs, asked] = await Promise.all([start(store, ...flags), start(store, ...flags)])
        return { runs, admin: new Admin(asked.stdout) }
      },
    ],
  ]

  describe.each(places)('run by %s', (_, lease, begin) => {
    test('under unknown the provider sees the end, the caller is told, and the key never executes again', async () => {
      const { runs, admin } = await begin(['--on-abandoned', 'unknown', ...lease])
      const key = freshKey()
      const call = open(runs, { key, behave: 'delay=60000' })
      await called(sandbox, 1)
      const id = await admin.running()
      const askedMs = performance.now()
      const cancelled = await admin.ask(`/v1/records/${id}`, { method: 'DELETE' })
      expect(cancelled).toMatchObject({ status: 200, json: { state: 'unknown', resolved: true, attempt: 1 } })
      expect(await call.heard).toMatchObject({ status: 409, code: 'superseded' })
      expect(performance.now() - askedMs).toBeLessThan(5_000)
      await gone()
      expect(await send(runs, { key })).toMatchObject({ status: 409, code: 'outcome_unknown' })
      // Sent twice, it is what was asked for, and takes nothing away.
      const again = await admin.ask(`/v1/records/${id}`, { method: 'DELETE' })
      expect(again).toMatchObject({ status: 200, json: { state: 'unknown' } })
      expect(await send(runs, { key })).toMatchObject({ code: 'outcome_unknown' })
      expect(sandbox.calls).toHaveLength(1)
    })

    test('under reexecute the provider sees the end, and the retry executes', async () => {
      const { runs, admin } = await begin([...lease])
      const key = freshKey()
      const call = open(runs, { key, behave: 'delay=60000' })
      await called(sandbox, 1)
      const cancelled = await admin.ask(`/v1/records/${await admin.running()}`, { method: 'DELETE' })
      expect(cancelled).toMatchObject({ status: 200, json: { state: 'released', resolved: true } })
      expect(await call.heard).toMatchObject({ status: 409, code: 'superseded' })
      await gone()
      expect(await send(runs, { key })).toMatchObject({ status: 200, how: 'executed' })
      expect(paid(sandbox)).toBe(sandbox.calls.filter(({ costUsd }) => costUsd > 0).length)
      expect(sandbox.calls).toHaveLength(2)
    })

    test('the control: without a cancel the same call outlives its leases and is recorded', async () => {
      const { runs, admin } = await begin(['--on-abandoned', 'unknown'])
      const key = freshKey()
      const call = open(runs, { key, behave: 'delay=3500' })
      await called(sandbox, 1)
      await admin.running()
      expect(await call.heard).toMatchObject({ status: 200, how: 'executed', whole: true })
      expect(await send(runs, { key })).toMatchObject({ status: 200, how: 'replayed' })
      expect(sandbox.calls.map(({ aborted }) => aborted)).toEqual([false])
    })
  })

  test('a stream is cut for its caller and for those who follow it, here and elsewhere', async () => {
    const store = freshStore()
    const flags = ['--on-abandoned', 'unknown']
    const [first, second] = await Promise.all([start(store, ...flags), start(store, ...flags)])
    const ask = { key: freshKey(), stream: true, behave: 'events=2000, gap=30' }
    const owner = open(first, ask)
    await owner.has('word 2')
    const here = open(first, ask)
    const there = open(second, ask)
    await Promise.all([here.has('word 2'), there.has('word 2')])
    const admin = new Admin(second.stdout)
    expect(await admin.ask(`/v1/records/${await admin.running()}`, { method: 'DELETE' })).toMatchObject({ status: 200 })
    const heard = await Promise.all([owner, here, there].map((call) => call.heard))
    expect(heard.map(({ status, whole }) => [status, whole])).toEqual([
      [200, false],
      [200, false],
      [200, false],
    ])
    await gone()
    expect(await send(first, ask)).toMatchObject({ code: 'outcome_unknown' })
  })

  test('a drain that nobody waits for is stopped, and the ledger says that nobody knows what it cost', async () => {
    const store = freshStore()
    const gateway = await start(store)
    const admin = new Admin(gateway.stdout)
    const call = open(gateway, { key: freshKey(), behave: 'delay=60000' })
    await called(sandbox, 1)
    call.hangUp()
    expect(await admin.ask(`/v1/records/${await admin.running()}`, { method: 'DELETE' })).toMatchObject({ status: 200 })
    await gone()
    await until(() => gateway.stderr.includes('"how":"left"'), 'the request is over')
    await gateway.end('SIGTERM')
    expect(await ledgerOf(stage, store)).toMatchObject({ executed: 1, unmetered: 1 })
  })

  test('one that comes too late takes no outcome away, unless a purge is asked for', async () => {
    const gateway = await start(freshStore())
    const admin = new Admin(gateway.stdout)
    const key = freshKey()
    await send(gateway, { key })
    const [record] = await admin.records('completed')
    const path = `/v1/records/${record?.['recordId']}`
    const late = await admin.ask(path, { method: 'DELETE' })
    expect(late).toMatchObject({ status: 409, json: { code: 'record_moved', state: 'completed' } })
    expect(await send(gateway, { key })).toMatchObject({ how: 'replayed' })
    expect(await admin.ask(`${path}?purge=true`, { method: 'DELETE' })).toMatchObject({ json: { state: 'absent' } })
    expect(await send(gateway, { key })).toMatchObject({ how: 'executed' })
  })
})
