/** What goes wrong without the protocol, or with settings that a store refuses: the tests of the promise can fail. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import type { Fingerprint } from '../../packages/oncekey/src/core/fingerprint.ts'
import type { RecordId } from '../../packages/oncekey/src/core/key.ts'
import type { AttemptId } from '../../packages/oncekey/src/core/record.ts'
import type { Store } from '../../packages/oncekey/src/core/store.ts'
import { migrate, postgresStore } from '../../packages/oncekey/src/stores/postgres/index.ts'
import { redisStore } from '../../packages/oncekey/src/stores/redis/index.ts'
import { startPostgres, startRedis, startRedisPair } from '../../scripts/services.mjs'
import { called, freshKey, paid, Stage, until } from '../e2e/harness.ts'

const stage = new Stage()
afterAll(() => stage.close())

const times = { leaseMs: 60_000, skewMs: 2_000, retentionMs: 3_600_000, tombstoneMs: 0 } as const
let made = 0

/** Claims fresh records under `unknown` until it is over, and notes the ids whose claims were acknowledged. */
async function claims(store: Store, over: () => boolean, acknowledged: RecordId[]): Promise<void> {
  const one = async (): Promise<void> => {
    while (!over()) {
      const recordId = `${process.pid}-${made++}-`.padEnd(43, '_') as RecordId
      const ask = {
        recordId,
        attemptId: `a${made}`.padEnd(22, '_') as AttemptId,
        fingerprint: '1same' as Fingerprint,
        rawFingerprint: '' as const,
        onAbandoned: 'unknown' as const,
        ...times,
      }
      const [answer] = await store.claim([ask]).catch(() => [])
      if (answer?.kind === 'granted') acknowledged.push(recordId)
      else await sleep(5)
    }
  }
  await Promise.all(Array.from({ length: 8 }, one))
}

/** How many of these records the store does not have. */
async function missing(store: Store, ids: readonly RecordId[]): Promise<number> {
  let lost = 0
  for (let at = 0; at < ids.length; at += 200) {
    const found = await store.read(ids.slice(at, at + 200))
    lost += found.filter(({ record }) => record === undefined).length
  }
  return lost
}

describe('a lock by SET NX PX', () => {
  const naive = fileURLToPath(new URL('naive.mjs', import.meta.url))

  test('pays twice when its owner is killed in the middle of the call', { timeout: 60_000 }, async () => {
    const redis = await startRedis()
    stage.add({ close: () => redis.stop() })
    const sandbox = await stage.sandbox()
    const key = freshKey()
    const args = [naive, redis.url, sandbox.url, key, '300']
    const first = stage.program(process.execPath, args)
    await called(sandbox, 1)
    await first.end('SIGKILL')
    await stage.program(process.execPath, args).exited
    // The first call goes on at the provider, who charges for it.
    await expect.poll(() => paid(sandbox, key)).toBe(2)
  })

  test('pays twice when its owner stands still past the lease', { timeout: 60_000 }, async () => {
    const redis = await startRedis()
    stage.add({ close: () => redis.stop() })
    const sandbox = await stage.sandbox()
    const key = freshKey()
    const args = [naive, redis.url, sandbox.url, key, '300']
    const first = stage.program(process.execPath, args)
    await called(sandbox, 1)
    first.child.kill('SIGSTOP')
    const second = stage.program(process.execPath, args)
    await second.exited
    first.child.kill('SIGCONT')
    await first.exited
    expect(paid(sandbox, key)).toBe(2)
    // And without a fence two callers have two answers, of which the later stays.
    expect(first.stdout).not.toBe(second.stdout)
  })
})

describe('kill -9 of PostgreSQL', () => {
  async function lostBy(commit: 'on' | 'off'): Promise<{ lost: number; acknowledged: number }> {
    const server = await startPostgres({ settings: { synchronous_commit: commit, wal_writer_delay: '1s' } })
    stage.add({ close: () => server.stop() })
    const pool = new pg.Pool({ connectionString: server.url })
    pool.on('error', () => undefined)
    await migrate(pool)
    const store = postgresStore(pool, { dangerouslyAllowLoss: commit === 'off' })
    let over = false
    const acknowledged: RecordId[] = []
    const claiming = claims(store, () => over, acknowledged)
    await until(() => acknowledged.length > 50, 'claims are acknowledged')
    await sleep(700)
    await server.kill()
    over = true
    await claiming
    await server.start()
    const lost = await missing(store, acknowledged)
    await pool.end()
    return { lost, acknowledged: acknowledged.length }
  }

  test('loses nothing that was acknowledged with synchronous_commit = on', { timeout: 60_000 }, async () => {
    const { lost, acknowledged } = await lostBy('on')
    console.log(`synchronous_commit on: ${lost} of ${acknowledged} acknowledged claims lost`)
    expect(acknowledged).toBeGreaterThan(50)
    expect(lost).toBe(0)
  })

  test('loses acknowledged claims with synchronous_commit = off, which the store refuses', {
    timeout: 60_000,
  }, async () => {
    const { lost, acknowledged } = await lostBy('off')
    console.log(`synchronous_commit off: ${lost} of ${acknowledged} acknowledged claims lost`)
    expect(lost).toBeGreaterThan(0)
  })
})

describe('a replica of Redis that is promoted', () => {
  async function lostWith(waitReplicas: number): Promise<{ lost: number; acknowledged: number }> {
    const pair = await startRedisPair()
    stage.add({ close: () => pair.stop() })
    const primary = new Redis(pair.primary.url, { maxRetriesPerRequest: 0 })
    primary.on('error', () => undefined)
    const store = redisStore(primary, { waitReplicas, waitReplicasMs: 200 })
    let over = false
    const acknowledged: RecordId[] = []
    const claiming = claims(store, () => over, acknowledged)
    await until(() => acknowledged.length > 50, 'claims are acknowledged')
    await sleep(300)
    // It is promoted while the primary, which has not heard of that, goes on: what that acknowledges now is lost with it.
    await pair.replica.cli('replicaof', 'no', 'one')
    await sleep(500)
    await pair.primary.kill()
    over = true
    await claiming
    primary.disconnect()
    const promoted = new Redis(pair.replica.url)
    const lost = await missing(redisStore(promoted), acknowledged)
    promoted.disconnect()
    return { lost, acknowledged: acknowledged.length }
  }

  test('has lost acknowledged claims', { timeout: 60_000 }, async () => {
    const { lost, acknowledged } = await lostWith(0)
    console.log(`asynchronous replica: ${lost} of ${acknowledged} acknowledged claims lost`)
    expect(lost).toBeGreaterThan(0)
  })

  test('has lost none with waitReplicas: 1', { timeout: 60_000 }, async () => {
    const { lost, acknowledged } = await lostWith(1)
    console.log(`waitReplicas 1: ${lost} of ${acknowledged} acknowledged claims lost`)
    expect(acknowledged).toBeGreaterThan(20)
    expect(lost).toBe(0)
  })
})
