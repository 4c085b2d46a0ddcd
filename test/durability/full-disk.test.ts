/** A disk that is full, for real: a small file system. Clear errors, nothing lost, and it goes on by itself afterwards. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { IdempotencyError } from '../../packages/oncekey/src/core/errors.ts'
import type { Idempotency } from '../../packages/oncekey/src/core/run.ts'
import type { Store } from '../../packages/oncekey/src/core/store.ts'
import { createIdempotency } from '../../packages/oncekey/src/platform/idempotency.ts'
import { lmdbStore } from '../../packages/oncekey/src/stores/lmdb/index.ts'
import { migrate, postgresStore } from '../../packages/oncekey/src/stores/postgres/index.ts'
import { redisStore } from '../../packages/oncekey/src/stores/redis/index.ts'
import { startPostgres, startRedis } from '../../scripts/services.mjs'

/** Mounting takes root; CI has it. */
const elsewhere = process.env['CI'] === undefined && (process.platform !== 'linux' || process.getuid?.() !== 0)

const cleaning: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleaning.splice(0).reverse()) await clean()
})

/** A file system of so many MiB. */
function smallDisk(size: number): string {
  const path = mkdtempSync(join(tmpdir(), 'oncekey-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}m,mode=777`, 'tmpfs', path])
  cleaning.push(() => {
    execFileSync('umount', ['-l', path])
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

/** Takes all that is left; resolves to what gives it back. */
function fill(disk: string): () => void {
  const path = join(disk, 'filler')
  const file = openSync(path, 'w')
  try {
    for (let size = 1024 * 1024; size >= 1; size = size >> 1) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size))
      } catch {
        // No room for a piece of this size; a smaller one may fit.
      }
    }
  } finally {
    closeSync(file)
  }
  return () => rmSync(path)
}

const value = 'x'.repeat(4_096)

/** Runs fresh keys until one is refused; resolves to how many were recorded before, and to the code of the refusal. */
async function untilRefused(once: Idempotency, from: number): Promise<{ recorded: number; code: string }> {
  for (let at = from; at < from + 5_000; at++) {
    let executed = 0
    try {
      const { recorded } = await once.runDetailed({ key: `k${at}` }, async (attempt) => {
        await attempt.dispatching()
        executed += 1
        return value
      })
      if (!recorded) return { recorded: at, code: 'unrecorded' }
    } catch (error) {
      // Nothing was executed that could not be claimed.
      expect(executed).toBe(0)
      return { recorded: at, code: (error as IdempotencyError).code }
    }
  }
  throw new Error('the disk is never full')
}

async function stands(once: Idempotency, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const found = await once.runDetailed({ key: `k${at}` }, () => 'executed again')
    expect([at, found.value, found.status]).toEqual([at, value, 'replayed'])
  }
}

const engine = (store: Store): Idempotency => createIdempotency({ store, onAbandoned: 'unknown' })

describe.skipIf(elsewhere)('a full disk', { timeout: 120_000 }, () => {
  test('under LMDB: claims are refused, nothing is executed, and it goes on when there is room', async () => {
    const disk = smallDisk(8)
    const store = lmdbStore(join(disk, 'store'))
    cleaning.push(() => store.close())
    const once = engine(store)
    for (let at = 0; at < 20; at++) await once.run({ key: `k${at}` }, () => value)
    const makeRoom = fill(disk)
    const { recorded, code } = await untilRefused(once, 20)
    expect(['store_unavailable', 'unrecorded']).toContain(code)
    await stands(once, Math.min(recorded, 20))
    makeRoom()
    await stands(once, recorded)
    expect(await once.runDetailed({ key: 'later' }, () => value)).toMatchObject({ status: 'executed', recorded: true })
  })

  test('under PostgreSQL: the same', async () => {
    const disk = smallDisk(8)
    const tables = join(disk, 'tables')
    mkdirSync(tables)
    execFileSync('chown', ['postgres', tables])
    const server = await startPostgres()
    cleaning.push(() => server.stop())
    const owner = new pg.Pool({ connectionString: server.url })
    await owner.query(`create tablespace small location '${tables}'`)
    await owner.end()
    const pool = new pg.Pool({ connectionString: server.url, options: '-c default_tablespace=small' })
    pool.on('error', () => undefined)
    cleaning.push(() => pool.end())
    await migrate(pool)
    const once = engine(postgresStore(pool))
    for (let at = 0; at < 20; at++) await once.run({ key: `k${at}` }, () => value)
    const makeRoom = fill(disk)
    const { recorded, code } = await untilRefused(once, 20)
    expect(['store_unavailable', 'unrecorded']).toContain(code)
    await stands(once, recorded)
    makeRoom()
    expect(await once.runDetailed({ key: 'later' }, () => value)).toMatchObject({ status: 'executed', recorded: true })
    await stands(once, recorded)
  })

  test('under Redis: it ends rather than lose what it acknowledged, and all of it is there after its restart', async () => {
    const disk = smallDisk(8)
    const server = await startRedis({ settings: { dir: disk } })
    cleaning.push(() => server.stop())
    const client = new Redis(server.url, { maxRetriesPerRequest: 0, enableOfflineQueue: false })
    client.on('error', () => undefined)
    cleaning.push(() => client.disconnect())
    await new Promise((resolve) => client.once('ready', resolve))
    const once = engine(redisStore(client))
    for (let at = 0; at < 20; at++) await once.run({ key: `k${at}` }, () => value)
    const makeRoom = fill(disk)
    const { recorded, code } = await untilRefused(once, 20)
    expect(['store_unavailable', 'unrecorded']).toContain(code)
    makeRoom()
    await server.kill()
    await server.start()
    await expect.poll(() => client.status, { timeout: 10_000 }).toBe('ready')
    await stands(once, recorded)
    expect(await once.runDetailed({ key: 'later' }, () => value)).toMatchObject({ status: 'executed', recorded: true })
  })
})
