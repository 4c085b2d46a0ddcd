/** Liveness and readiness while a gateway starts to drain, and while its store is away. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startRedis } from '../../../../scripts/services.mjs'
import { Admin } from '../../../../test/e2e/admin.ts'
import { freshKey, json, open, type ScriptedUpstream, send, startGateway, startUpstream, until } from '../harness.ts'

let upstream: ScriptedUpstream
beforeAll(async () => {
  upstream = await startUpstream()
})
beforeEach(() => upstream.reset())
afterAll(() => upstream.close())

const health = async (admin: Admin) => {
  const [live, ready] = await Promise.all([admin.ask('/healthz'), admin.ask('/readyz')])
  return [live.status, ready.status, ready.json['reason'] ?? ready.json['status']]
}

/** Asks until readiness is this. */
async function becomes(admin: Admin, wanted: unknown): Promise<void> {
  const endMs = performance.now() + 15_000
  while ((await health(admin)).at(2) !== wanted)
    if (performance.now() > endMs) throw new Error(`/readyz never said ${wanted}`)
}

describe.each([
  ['one process', ['--store', 'memory:']],
  ['two workers', ['--workers', '2']],
])('a gateway of %s', (_, flags) => {
  test('is not ready from the moment of SIGTERM, while what runs is answered', async () => {
    const { fileOf } = await import('../keyfiles.ts')
    const store = flags.includes('--workers') ? ['--store', `lmdb:${fileOf('')}-store`] : []
    const gateway = await startGateway(upstream, [...store, '--admin-port', '0', ...flags])
    const admin = new Admin(gateway.stdout)
    expect(await health(admin)).toEqual([200, 200, 'ready'])
    upstream.reset(() => undefined)
    const call = open(gateway, { key: freshKey() })
    const { response } = await upstream.call()
    gateway.signal('SIGTERM')
    await becomes(admin, 'draining')
    expect(await health(admin)).toEqual([200, 503, 'draining'])
    expect((await send(gateway, { key: freshKey() })).json['code']).toBe('shutting_down')
    json(response, { answered: true })
    expect((await call.head).statusCode).toBe(200)
    expect((await gateway.exited).code).toBe(0)
    await expect(admin.ask('/healthz')).rejects.toThrow()
  })
})

test('with the store away it lives and is not ready, and says which; with the store back it is', async () => {
  const redis = await startRedis()
  const gateway = await startGateway(upstream, ['--store', redis.url, '--admin-port', '0'])
  const admin = new Admin(gateway.stdout)
  expect(await health(admin)).toEqual([200, 200, 'ready'])
  await redis.kill()
  await becomes(admin, 'store')
  expect(await health(admin)).toEqual([200, 503, 'store'])
  const { status, json: document } = await admin.ask('/v1/records')
  expect([status, document['code']]).toEqual([503, 'store_unavailable'])
  expect((await admin.ask('/metrics')).status).toBe(200)
  await redis.start()
  await becomes(admin, 'ready')
  expect((await send(gateway, { key: freshKey() })).how).toBe('executed')
  expect((await admin.samples()).sum('oncekey_store_failures_total', { call: 'read' })).toBeGreaterThan(0)
  await gateway.kill()
  await redis.stop()
})

test('a store that hangs is one that is away, inside the time of a store call', async () => {
  const redis = await startRedis()
  const gateway = await startGateway(upstream, ['--store', redis.url, '--admin-port', '0'])
  const admin = new Admin(gateway.stdout)
  redis.signal('SIGSTOP')
  await until(() => true)
  await new Promise((resolve) => setTimeout(resolve, 600))
  const startMs = performance.now()
  expect(await health(admin)).toEqual([200, 503, 'store'])
  expect(performance.now() - startMs).toBeLessThan(3_000)
  redis.signal('SIGCONT')
  await becomes(admin, 'ready')
  await gateway.kill()
  await redis.stop()
})

test('many probes at once are one question to the store', async () => {
  const gateway = await startGateway(upstream, ['--admin-port', '0'])
  const admin = new Admin(gateway.stdout)
  const reads = async () => (await admin.samples()).sum('oncekey_store_call_duration_seconds_count', { call: 'read' })
  const before = await reads()
  await Promise.all(Array.from({ length: 100 }, () => admin.ask('/readyz', { token: null })))
  expect((await reads()) - before).toBeLessThanOrEqual(2)
  await gateway.kill()
})
