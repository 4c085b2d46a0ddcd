/** `attempt.commit` on a real PostgreSQL: the user's rows and the outcome land together or not at all. */
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type PostgresServer, startPostgres } from '../../../../scripts/services.mjs'
import type { IdempotencyError } from '../../src/core/errors.ts'
import type { Store } from '../../src/core/store.ts'
import { type CreateOptions, createIdempotency } from '../../src/platform/idempotency.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { migrate, postgresStore } from '../../src/stores/postgres/index.ts'
import { keyNamed } from './encrypted.ts'

let server: PostgresServer
let pool: pg.Pool
beforeAll(async () => {
  server = await startPostgres()
  pool = new pg.Pool({ connectionString: server.url })
  await migrate(pool)
  await pool.query('create table orders (id text primary key, attempt bigint)')
})
beforeEach(() => pool.query('truncate orders'))
afterAll(async () => {
  await pool.end()
  await server.stop()
})

let keptAs: Pick<CreateOptions, 'encryption'> = {}
const engine = (options: { leaseMs?: number; skewMs?: number } = {}) =>
  createIdempotency({ store: postgresStore(pool), onAbandoned: 'unknown', ...keptAs, ...options })

/** Runs `work` in a transaction of its own; what it throws rolls back. */
async function transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const value = await work(client)
    await client.query('commit')
    return value
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

async function orders(): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>('select id from orders order by id')
  return rows.map(({ id }) => id)
}

let keys = 0
const fresh = (): { key: string } => ({ key: `commit-${keys++}` })
const codeOf = (error: unknown): string => (error as IdempotencyError).code

describe.each([
  ['in clear', {}],
  ['encrypted', { encryption: { keys: [keyNamed('k1')] } }],
])('commit of outcomes %s', (_, kept) => {
  beforeAll(() => {
    keptAs = kept
  })

  test('records the value with the rows, and a retry replays it without running again', async () => {
    const operation = fresh()
    const run = () =>
      engine().runDetailed(operation, async (attempt) =>
        transaction(async (client) => {
          await client.query('insert into orders values ($1, $2)', [operation.key, attempt.fence])
          await attempt.commit(client, { ordered: operation.key })
          return { ordered: operation.key }
        }),
      )
    const [first, again] = [await run(), await run()]
    expect([first.status, again.status]).toEqual(['executed', 'replayed'])
    expect(again.value).toEqual({ ordered: operation.key })
    expect(await orders()).toEqual([operation.key])
  })

  test('a transaction that is rolled back leaves neither rows nor outcome, and the next call executes', async () => {
    const operation = fresh()
    const failing = engine().run(operation, async (attempt) =>
      transaction(async (client) => {
        await client.query('insert into orders values ($1, $2)', [operation.key, attempt.fence])
        await attempt.commit(client, 'never')
        throw new Error('the last statement failed')
      }),
    )
    await expect(failing).rejects.toThrow('the last statement failed')
    expect(await orders()).toEqual([])
    expect(await engine().runDetailed(operation, () => 'then')).toMatchObject({ value: 'then', status: 'executed' })
  })

  test('whoever swallows the error of his transaction is told, and no outcome stays without its rows', async () => {
    const operation = fresh()
    const swallowing = engine().run(operation, async (attempt) => {
      await transaction(async (client) => {
        await attempt.commit(client, 'ordered')
        throw new Error('lost on the way')
      }).catch(() => undefined)
      return 'ordered'
    })
    expect(codeOf(await swallowing.catch((error: unknown) => error))).toBe('not_committed')
    expect(await engine().runDetailed(operation, () => 'then')).toMatchObject({ status: 'executed' })
  })

  test('an error after the commit changes nothing: the outcome is there for the retry', async () => {
    const operation = fresh()
    const late = engine().run(operation, async (attempt) => {
      await transaction((client) => attempt.commit(client, 'ordered'))
      throw new Error('a mail could not be sent')
    })
    await expect(late).rejects.toThrow('a mail could not be sent')
    expect(await engine().runDetailed(operation, () => 'twice')).toMatchObject({ value: 'ordered', status: 'replayed' })
  })

  test('an attempt that was taken over is refused, and its rows go with its transaction', async () => {
    // late claims ──▶ lease over ──▶ other claims and commits ──▶ late inserts and commits: refused, rolled back
    const operation = fresh()
    const store = postgresStore(pool)
    const late = createIdempotency({ store, onAbandoned: 'reexecute', leaseMs: 500, skewMs: 0 })
    const frozen = createIdempotency({
      store: withoutRenewals(store),
      onAbandoned: 'reexecute',
      leaseMs: 500,
      skewMs: 0,
    })
    let goOn: () => void = () => undefined
    const asleep = new Promise<void>((resolve) => {
      goOn = resolve
    })
    let begin: () => void = () => undefined
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const first = frozen.run(operation, async (attempt) => {
      begin()
      await asleep
      return transaction(async (client) => {
        await client.query('insert into orders values ($1, $2)', [`${operation.key}-late`, attempt.fence])
        await attempt.commit(client, 'late')
        return 'late'
      })
    })
    await begun
    const second = await late.runDetailed(operation, async (attempt) =>
      transaction(async (client) => {
        await client.query('insert into orders values ($1, $2)', [operation.key, attempt.fence])
        await attempt.commit(client, 'newer')
        return 'newer'
      }),
    )
    expect(second).toMatchObject({ status: 'executed', attempt: 2 })
    goOn()
    expect(codeOf(await first.catch((error: unknown) => error))).toBe('superseded')
    expect(await orders()).toEqual([operation.key])
  })

  test('a store without transactions says which one has them', async () => {
    const once = createIdempotency({ store: memoryStore(), onAbandoned: 'reexecute' })
    const asked = once.run(fresh(), (attempt) => attempt.commit({}, 1))
    await expect(asked).rejects.toThrow('PostgreSQL')
  })
})

/** The store of a process that stands still: its leases run out. */
function withoutRenewals(store: Store): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'renew') return () => new Promise<never>(() => undefined)
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
