/** Hints of the PostgreSQL store: heard in another process, lost without harm, and gone with the store. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PostgresServer, type Server, startPgBouncer, startPostgres } from '../../../../scripts/services.mjs'
import type { IdempotencyError } from '../../src/core/errors.ts'
import type { Store } from '../../src/core/store.ts'
import { createIdempotency } from '../../src/platform/idempotency.ts'
import { migrate, postgresStore } from '../../src/stores/postgres/index.ts'
import { ask, connected, Heard, hearsOfEveryChange, hearsOfMany, idOf, settlement, stopsOneByOne } from './hints.ts'
import { connect, type Driver, freshSchema, quoted } from './postgres.ts'

let server: PostgresServer
let bouncer: Server
let admin: pg.Pool

beforeAll(async () => {
  server = await startPostgres()
  bouncer = await startPgBouncer(server)
  admin = new pg.Pool({ connectionString: server.url, max: 2 })
}, 120_000)

afterAll(async () => {
  await admin.end()
  await bouncer.stop()
  await server.stop()
})

/** Two stores of one schema, as two processes have them. */
interface Pair {
  readonly schema: string
  readonly writer: Store
  readonly hearer: Store
  /** Closes the hearer's store and its pool. */
  endHearer(): Promise<void>
}

async function pair(driver: Driver, use: (pair: Pair) => Promise<void>, url = server.url): Promise<void> {
  const schema = freshSchema()
  await migrate(admin, { schema })
  const [one, two] = [connect(url, driver), connect(url, driver)]
  const [writer, hearer] = [one, two].map(({ pool }) => postgresStore(pool, { schema, hints: true })) as [Store, Store]
  let ended: Promise<void> | undefined
  const endHearer = (): Promise<void> => (ended ??= hearer.close().then(() => two.end()))
  try {
    await use({ schema, writer, hearer, endHearer })
  } finally {
    await endHearer()
    await writer.close()
    await one.end()
    await admin.query(`DROP SCHEMA ${quoted(schema)} CASCADE`)
  }
}

/** Server processes that listen on the schema's channel; what a session said last is what it still does. */
async function listeners(schema: string): Promise<number[]> {
  const text = `SELECT pid FROM pg_stat_activity WHERE query ILIKE 'listen%' AND strpos(query, $1) > 0`
  return (await admin.query<{ pid: number }>(text, [quoted(schema)])).rows.map(({ pid }) => pid)
}

/** What the connections of the bouncer listen to: each is asked, for all that are idle are lent at once. */
async function listeningBehindBouncer(): Promise<unknown[]> {
  const pool = new pg.Pool({ connectionString: bouncer.url, max: 8 })
  const asked = Array.from({ length: 8 }, () => pool.query('SELECT pg_listening_channels(), pg_sleep(0.05)'))
  const found = (await Promise.all(asked)).flatMap(({ rows }) => rows)
  await pool.end()
  return found
}

describe.each(['pg', 'postgres'] as const)('by %s, another process', (driver) => {
  test('hears of every change that others wait for, and of no other record', () =>
    pair(driver, ({ writer, hearer }) => hearsOfEveryChange(writer, hearer)))

  test('hears of 500 records that one call changed', () =>
    pair(driver, ({ writer, hearer }) => hearsOfMany(writer, hearer)))

  test('hears nothing more once it has stopped', () =>
    pair(driver, ({ writer, hearer }) => stopsOneByOne(writer, hearer)))

  test('hears again by itself after its connection was ended, and no call fails', () =>
    pair(driver, async ({ schema, writer, hearer }) => {
      await connected(writer, hearer)
      const [pid] = await listeners(schema)
      await admin.query('SELECT pg_terminate_backend($1)', [pid])
      await writer.claim([ask('a')])
      await hearer.read([idOf('a')])
      await connected(writer, hearer)
      expect(await listeners(schema)).not.toContain(pid)
    }))

  test('leaves no connection when it is closed, and watching then does nothing', () =>
    pair(driver, async ({ schema, writer, hearer, endHearer }) => {
      await connected(writer, hearer)
      expect(await listeners(schema)).toHaveLength(1)
      await endHearer()
      await expect.poll(() => listeners(schema)).toEqual([])
      const heard = new Heard(hearer, 'probe')
      await writer.settle([settlement('probe', 'completed')])
      await expect(hearer.read([idOf('probe')])).rejects.toMatchObject({ code: 'store_unavailable' })
      heard.stop()
      expect([heard.count, await listeners(schema)]).toEqual([0, []])
    }))

  test('opens no connection before somebody watches', () =>
    pair(driver, async ({ schema, writer, hearer }) => {
      await writer.claim([ask('a')])
      await hearer.read([idOf('a')])
      await writer.settle([settlement('a', 'completed')])
      expect(await listeners(schema)).toEqual([])
    }))

  test('waits by polls through PgBouncer, and leaves it no connection that listens', () =>
    pair(
      driver,
      async ({ writer, hearer }) => {
        const [owner, waiter] = [writer, hearer].map((store) => createIdempotency({ store, onAbandoned: 'unknown' }))
        let finish: (value: string) => void = () => undefined
        const running = owner?.run({ key: 'k' }, () => new Promise<string>((resolve) => (finish = resolve)))
        await expect.poll(async () => (await hearer.scan(undefined, { limit: 1 })).entries.length).toBe(1)
        const waiting = waiter?.run({ key: 'k' }, async () => 'executed twice')
        await new Promise((resolve) => setTimeout(resolve, 200))
        expect(await listeningBehindBouncer()).toEqual([])
        finish('once')
        expect(await Promise.all([running, waiting])).toEqual(['once', 'once'])
        await Promise.all([owner?.close(), waiter?.close()])
      },
      bouncer.url,
    ))
})

describe('without a server', () => {
  test.each(['pg', 'postgres'] as const)(
    'by %s, nobody gets an error, and hints come once it is back',
    async (driver) => {
      const own = await startPostgres()
      const [one, two] = [connect(own.url, driver), connect(own.url, driver)]
      await migrate(one.pool)
      const [writer, hearer] = [one, two].map(({ pool }) => postgresStore(pool, { hints: true })) as [Store, Store]
      await connected(writer, hearer)
      await own.kill()
      await expect(writer.settle([settlement('probe', 'head')])).rejects.toMatchObject({ code: 'store_unavailable' })
      await new Promise((resolve) => setTimeout(resolve, 500))
      await own.start()
      await expect
        .poll(() =>
          writer.read([idOf('a')]).then(
            () => true,
            () => false,
          ),
        )
        .toBe(true)
      await connected(writer, hearer)
      await Promise.all([writer.close(), hearer.close()])
      await Promise.all([one.end(), two.end()])
      await own.stop()
    },
    60_000,
  )
})

describe('the option', () => {
  test('off, there is no watch, nothing is sent, and nobody says otherwise', async () => {
    await pair('pg', async ({ schema, writer, hearer }) => {
      const quiet = postgresStore(admin, { schema })
      expect([quiet.capabilities.hints, quiet.watch]).toEqual([false, undefined])
      expect(hearer.capabilities.hints).toBe(true)
      await connected(writer, hearer)
      await quiet.claim([ask('quiet')])
      const heard = new Heard(hearer, 'quiet')
      await quiet.settle([settlement('quiet', 'completed')])
      await connected(writer, hearer)
      expect(heard.count).toBe(0)
    })
  })

  test('needs a pool with a connection to spare', () => {
    const pool = new pg.Pool({ connectionString: server.url, max: 1 })
    const opening = (): Store => postgresStore(pool, { hints: true })
    expect(opening).toThrow(
      expect.objectContaining<Partial<IdempotencyError>>({
        code: 'config_invalid',
        message: 'The option hints keeps one connection for itself: give the store a pool of two or more.',
      }),
    )
  })
})
