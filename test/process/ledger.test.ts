/** The ledger over processes that die, restart and share a store: its sum is what the provider itself charged. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Audit, freshKey, type Gateway, ledgerOf, priced, Stage, until } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'
import { open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
let freshStore: () => string

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

const messages = [{ role: 'user', content: 'hello' }]
/** Requests whose answers tell what they used, whole and streamed, one of each dialect. */
const asks: readonly (readonly [string, object])[] = [
  ['/v1/chat/completions', { messages }],
  ['/v1/chat/completions', { messages, stream: true, stream_options: { include_usage: true } }],
  ['/v1/messages', { messages, max_tokens: 9, stream: true }],
  ['/v1/responses', { input: 'hello', stream: true }],
  ['/v1/embeddings', { input: 'hello' }],
  ['/v1beta/models/pretend-1:streamGenerateContent?alt=sse', { contents: [] }],
]

async function post(gateway: Gateway, at: number, key: string): Promise<string | null> {
  const [path, body] = asks[at % asks.length] as (typeof asks)[number]
  const answer = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { authorization: 'Bearer sk-test', 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ model: 'pretend-1', ...body }),
  })
  await answer.text()
  expect(answer.status).toBe(200)
  return answer.headers.get('idempotency-status')
}

/** Everything that was counted so far, read by the program itself. */
async function counted(store: string, counter: string, count: number): Promise<void> {
  let seen = -1
  for (let tries = 0; tries < 50 && seen !== count; tries++) seen = (await ledgerOf(stage, store))[counter] ?? 0
  expect(seen).toBe(count)
}

describe.each(sharedStores)('over %s', (_, openStore) => {
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  function start(store: string, ...flags: string[]): Promise<Gateway> {
    const own = ['--config', priced(stage), '--lease', '1s', '--skew', '200ms', ...flags]
    return stage.gateway({ upstream: sandbox.url, store, flags: own })
  }

  test('it adds up over two processes, workers, kill -9 and restarts, to the cent', { timeout: 120_000 }, async () => {
    const store = freshStore()
    const audit = new Audit(sandbox)
    const keys = Array.from({ length: 36 }, freshKey)
    for (const [round, part] of [keys.slice(0, 12), keys.slice(12, 24), keys.slice(24)].entries()) {
      const gateways = [await start(store), await start(store, ...(round === 1 ? ['--workers', '2'] : []))]
      const on = (at: number): Gateway => gateways[at % 2] as Gateway
      await Promise.all(part.map((key, at) => post(on(at), at, key)))
      const again = await Promise.all(part.map((key, at) => post(on(at + 1), at, key)))
      expect(again).toEqual(part.map(() => 'replayed'))
      await counted(store, 'executed', 12 * (round + 1))
      await counted(store, 'replayed', 12 * (round + 1))
      for (const gateway of gateways) await gateway.end(round === 2 ? 'SIGTERM' : 'SIGKILL')
    }
    const ledger = await ledgerOf(stage, store)
    expect(audit.untold).toBe(0)
    expect(ledger).toMatchObject({ executed: 36, replayed: 36, nanodollars: audit.told, savedNanodollars: audit.told })
    expect(ledger).not.toHaveProperty('unmetered')
  })

  test('an execution that died with its process is counted as lost, and the one after it by its price', async () => {
    const store = freshStore()
    const audit = new Audit(sandbox)
    const gateway = await start(store)
    const key = freshKey()
    const died = open(gateway, { key, behave: 'delay=60000' })
    await until(() => sandbox.calls.length === 1, 'the provider is called')
    await gateway.end('SIGKILL')
    await died.heard
    const next = await start(store)
    expect(await send(next, { key })).toMatchObject({ status: 200, how: 'executed' })
    await next.end('SIGTERM')
    const ledger = await ledgerOf(stage, store)
    expect(ledger).toMatchObject({ executed: 1, lost: 1, nanodollars: audit.told })
    expect(audit.untold).toBeGreaterThan(0)
  })

  test('an execution that died under unknown is counted as lost once, however often its key is asked for', async () => {
    const store = freshStore()
    const audit = new Audit(sandbox)
    const gateway = await start(store, '--on-abandoned', 'unknown')
    const key = freshKey()
    const died = open(gateway, { key, behave: 'delay=60000' })
    await until(() => sandbox.calls.length === 1, 'the provider is called')
    await gateway.end('SIGKILL')
    await died.heard
    const next = await start(store, '--on-abandoned', 'unknown')
    for (let at = 0; at < 3; at++)
      expect(await send(next, { key })).toMatchObject({ status: 409, code: 'outcome_unknown' })
    await next.end('SIGTERM')
    expect(await ledgerOf(stage, store)).toEqual({ total: true, lost: 1, savedNanodollars: 0 })
    expect(audit.untold).toBeGreaterThan(0)
  })

  test('what a caller did not wait for and his retry got is saved by draining, what two share by joining', async () => {
    const store = freshStore()
    const audit = new Audit(sandbox)
    const gateway = await start(store)
    const [left, shared] = [freshKey(), freshKey()]
    const leaving = open(gateway, { key: left, behave: 'delay=200' })
    await until(() => sandbox.calls.length === 1, 'the provider is called')
    leaving.hangUp()
    // Settled, so that the retry is a replay.
    await counted(store, 'executed', 1)
    expect(await send(gateway, { key: left })).toMatchObject({ how: 'replayed' })
    const both = [open(gateway, { key: shared, behave: 'delay=400' }), open(gateway, { key: shared })]
    const hows = (await Promise.all(both.map((call) => call.heard))).map(({ how }) => how)
    expect(hows.sort()).toEqual(['executed', 'joined'])
    await gateway.end('SIGTERM')
    const ledger = await ledgerOf(stage, store)
    expect(ledger).toMatchObject({ executed: 2, drained: 1, joined: 1, nanodollars: audit.told })
    expect(ledger['drainedNanodollars']).toBeGreaterThan(0)
    expect((ledger['drainedNanodollars'] ?? 0) + (ledger['joinedNanodollars'] ?? 0)).toBe(audit.told)
  })
})
