/** A slow store is not mistaken for a dead one: answers take longer, and nothing else is different. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { type Server, startPostgres, startRedis } from '../../scripts/services.mjs'
import { Cable } from '../chaos/cable.ts'
import { called, freshKey, type Gateway, paid, Stage } from '../e2e/harness.ts'
import { differentBodies, open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

/** Each way: a round trip of 1.4 s, where a call has 2 s. */
const delayMs = 700
const leaseMs = 4_000

const servers: readonly (readonly [string, () => Promise<Server>])[] = [
  ['Redis', () => startRedis()],
  ['PostgreSQL', () => startPostgres()],
]

describe.each(servers)('%s that takes 1.4 s for each call', { timeout: 90_000 }, (_, start) => {
  let cable: Cable
  let a: Gateway
  let b: Gateway
  beforeAll(async () => {
    const server = await start()
    stage.add({ close: () => server.stop() })
    cable = stage.add(await Cable.to(server))
    const url = new URL(server.url)
    url.port = String(cable.port)
    const flags = ['--on-abandoned', 'unknown', '--lease', `${leaseMs}ms`, '--skew', '500ms']
    a = await stage.gateway({ upstream: sandbox.url, store: url.href, flags })
    b = await stage.gateway({ upstream: sandbox.url, store: url.href, flags })
    cable.delayMs = delayMs
  }, 60_000)

  test('executes once, and replays through the other gateway', async () => {
    const key = freshKey()
    const first = await send(a, { key })
    const again = await send(b, { key })
    expect([first.status, first.how, again.status, again.how]).toEqual([200, 'executed', 200, 'replayed'])
    expect(first.headers['idempotency-recorded']).toBeUndefined()
    expect(differentBodies([first, again])).toBe(1)
    expect(paid(sandbox, key)).toBe(1)
  })

  test('keeps its leases: a call of twice the lease is not taken for abandoned', async () => {
    const key = freshKey()
    const owner = open(a, { key, behave: `delay=${2 * leaseMs}` })
    await called(sandbox, 1)
    const waiting = await send(b, { key })
    const own = await owner.heard
    expect([own.status, own.how, waiting.status, waiting.how]).toEqual([200, 'executed', 200, 'joined'])
    expect(differentBodies([own, waiting])).toBe(1)
    expect(paid(sandbox, key)).toBe(1)
  })
})
