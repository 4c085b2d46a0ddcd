/** What `/metrics` says against what the provider itself counted and charged. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Admin, type Samples } from '../e2e/admin.ts'
import { Audit, called, freshKey, type Gateway, priced, Stage, until } from '../e2e/harness.ts'
import { open, send, storm } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

const calls = 'oncekey_upstream_calls_total'
const requests = 'oncekey_requests_total'

function start(...flags: string[]): Promise<Gateway> {
  const own = ['--config', priced(stage), '--lease', '1s', '--skew', '200ms', '--admin-port', '0', ...flags]
  return stage.gateway({ upstream: sandbox.url, flags: own })
}

/** A scrape in which a sum has come to a number: what a request is counted with comes a moment after its answer. */
async function once(admin: Admin, name: string, count: number): Promise<Samples> {
  let samples = await admin.samples()
  for (let tries = 0; tries < 300 && samples.sum(name) !== count; tries++) samples = await admin.samples()
  expect(samples.sum(name)).toBe(count)
  return samples
}

const nanodollars = (samples: Samples, name: string) => Math.round(samples.sum(name) * 1e9)

/** Executions, replays, joins, drains, refusals and failures, each at least once; 14 requests. */
async function mixed(gateway: Gateway): Promise<void> {
  const keys = [freshKey(), freshKey(), freshKey()]
  for (const key of keys) await send(gateway, { key })
  for (const key of keys) expect(await send(gateway, { key })).toMatchObject({ how: 'replayed' })
  const stream = { key: freshKey(), stream: true }
  await send(gateway, stream)
  await storm([gateway], 3, { key: freshKey(), behave: 'delay=300' })
  expect(await send(gateway, { key: keys[0]!, prompt: 'another' })).toMatchObject({ code: 'fingerprint_mismatch' })
  await send(gateway, { key: freshKey(), behave: 'status=429' })
  await send(gateway, { key: freshKey(), behave: 'status=400' })
  const before = sandbox.calls.length
  const left = open(gateway, { key: freshKey(), behave: 'delay=300' })
  await called(sandbox, before + 1)
  left.hangUp()
}

describe.each([
  ['one process', []],
  ['three workers', ['--workers', '3']],
])('of %s', (_, flags) => {
  test('they say what the provider was asked and what it charged, to the last billionth', async () => {
    const gateway = await start(...flags)
    const admin = new Admin(gateway.stdout)
    const audit = new Audit(sandbox)
    await mixed(gateway)
    const samples = await once(admin, requests, 14)
    expect(samples.sum(calls)).toBe(sandbox.calls.length)
    expect(nanodollars(samples, 'oncekey_spent_dollars_total')).toBe(audit.told)
    expect(audit.told).toBeGreaterThan(0)
    const how = (word: string) => samples.sum(requests, { how: word })
    expect([how('executed'), how('replayed'), how('joined'), how('refused'), how('left')]).toEqual([7, 3, 2, 1, 1])
    expect(samples.sum(requests, { status: '4xx' })).toBe(3)
    expect(samples.sum(calls, { ended: 'not_executed' })).toBe(1)
    expect(samples.sum(calls, { ended: 'refused' })).toBe(1)
    // A stream tells what it used only where that is asked for.
    expect(samples.sum(calls, { ended: 'unmetered' })).toBe(1)
    expect(samples.sum('oncekey_spared_total', { how: 'replayed' })).toBe(3)
    expect(samples.sum('oncekey_spared_total', { how: 'joined' })).toBe(2)
    expect(samples.sum('oncekey_claims_total')).toBe(sandbox.calls.length)
    expect(samples.sum('oncekey_incidents_total', { what: 'mismatch' })).toBe(1)
    expect(samples.sum('oncekey_settled_total', { as: 'completed' })).toBe(sandbox.calls.length - 1)
    expect(samples.sum('oncekey_store_call_duration_seconds_count', { call: 'claim' })).toBeGreaterThan(5)
    expect(samples.sum('oncekey_upstream_head_seconds_count')).toBe(sandbox.calls.length)
    const labels = { gen_ai_operation_name: 'chat', gen_ai_provider_name: 'other', gen_ai_response_model: 'pretend-1' }
    const priced = samples.sum(calls, { ended: 'priced' })
    expect(samples.sum('gen_ai_client_token_usage_count', { ...labels, gen_ai_token_type: 'input' })).toBe(priced)
    expect(samples.sum('gen_ai_client_operation_duration_seconds_count')).toBe(sandbox.calls.length)
    expect(samples.sum('gen_ai_client_operation_time_to_first_chunk_seconds_count')).toBe(1)
    // What was spared may be a second late in the store.
    const total = async () => (await admin.ask('/v1/ledger?by=model')).json['total']
    await expect.poll(total, { timeout: 5_000 }).toMatchObject({ nanodollars: audit.told, replayed: 3, joined: 2 })
  })
})

test('gauges rise while work runs, and fall when it has ended', async () => {
  const gateway = await start()
  const admin = new Admin(gateway.stdout)
  const ask = { key: freshKey(), behave: 'delay=1500' }
  const owner = open(gateway, ask)
  await called(sandbox, 1)
  const waiter = open(gateway, ask)
  const samples = await once(admin, 'oncekey_waiters', 1)
  expect(samples.sum('oncekey_operations_running')).toBe(1)
  expect(samples.sum('oncekey_requests_open')).toBe(2)
  expect(samples.sum('oncekey_body_bytes')).toBeGreaterThan(100)
  await Promise.all([owner.heard, waiter.heard])
  const after = await once(admin, requests, 2)
  const gauges = ['oncekey_waiters', 'oncekey_operations_running', 'oncekey_requests_open', 'oncekey_body_bytes']
  expect(gauges.map((name) => after.sum(name))).toEqual([0, 0, 0, 0])
})

test('what a worker had counted is still there when it has died', async () => {
  const gateway = await start('--workers', '2')
  const admin = new Admin(gateway.stdout)
  for (let at = 0; at < 6; at++) await send(gateway, { key: freshKey() })
  await once(admin, requests, 6)
  const { readFileSync } = await import('node:fs')
  const children = () =>
    readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8').trim().split(' ').map(Number)
  const [victim = 0] = children()
  process.kill(victim, 'SIGKILL')
  await until(() => gateway.logged('a worker died; another one takes its place') === 1, 'the death is noticed')
  await until(() => !children().includes(victim) && children().length === 2, 'it is replaced')
  expect((await admin.samples()).sum(requests)).toBe(6)
  for (let at = 0; at < 4; at++) await send(gateway, { key: freshKey() })
  await once(admin, requests, 10)
})

test('a flood of paths, models, methods and tenants makes a bounded number of series', async () => {
  const gateway = await start()
  const admin = new Admin(gateway.stdout)
  await send(gateway, { key: freshKey() })
  const flood = async (from: number): Promise<number> => {
    const letters = (at: number) => [...String(at)].map((digit) => 'abcdefghij'[Number(digit)]).join('')
    for (let at = from; at < from + 400; at += 20) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, by) => {
          const name = letters(at + by)
          const path = by % 2 === 0 ? '/v1/chat/completions' : `/v1/${name}/completions`
          const answer = await fetch(gateway.url + path, {
            method: by % 3 === 0 ? 'POST' : 'PUT',
            headers: {
              authorization: `Bearer ${name}`,
              'idempotency-key': freshKey(),
              'content-type': 'application/json',
            },
            body: JSON.stringify({ model: `model-${name}`, messages: [{ role: 'user', content: 'x' }] }),
          })
          await answer.arrayBuffer()
        }),
      )
    }
    return (await admin.samples()).series.size
  }
  await flood(1_000)
  const before = await flood(2_000)
  const after = await flood(3_000)
  // Nearly all of it are buckets: 100 models, of two token types and a duration with 17 lines each.
  expect(before).toBeLessThan(8_000)
  expect(after - before).toBeLessThan(50)
  const { text } = await admin.ask('/metrics')
  expect(text).toContain('route="POST /v1/chat/completions"')
  expect(text).toContain('model="other"')
})
