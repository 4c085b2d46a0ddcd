/** PostgreSQL stores on a private server, each in a schema of its own whose clock a test moves. */
import pg from 'pg'
import postgres from 'postgres'
import type { MovedClock } from '../../../../scripts/services.mjs'
import type { RecordId } from '../../src/core/key.ts'
import type { Store } from '../../src/core/store.ts'
import {
  migrate,
  type PostgresPool,
  type PostgresStoreOptions,
  postgresStore,
} from '../../src/stores/postgres/index.ts'
import type { OpenedStore } from '../../src/testing/index.ts'

/** How a store gets to its server. */
export type Driver = 'pg' | 'postgres'

/** A pool and how to end it. */
export interface Connected {
  readonly pool: PostgresPool
  end(): Promise<void>
}

/** A pool of a driver. `prepare: false` is what `postgres` needs behind PgBouncer. */
export function connect(url: string, driver: Driver = 'pg', max = 4): Connected {
  if (driver === 'pg') {
    const pool = new pg.Pool({ connectionString: url, max })
    return { pool, end: () => pool.end() }
  }
  const sql = postgres(url, { max, prepare: false, onnotice: () => undefined })
  // Without a time-out `postgres` waits for ever for a connection that the server has ended in the middle of a query.
  return { pool: sql, end: () => sql.end({ timeout: 1 }) }
}

/** A store under test, its schema, and more ways to its data. */
export interface OpenedPostgres extends OpenedStore {
  readonly schema: string
  readonly admin: pg.Pool
  /** A second store over a pool of its own. */
  another(options?: PostgresStoreOptions): Store
}

let made = 0

/** A schema name that no other test of this process has. */
export function freshSchema(): string {
  made += 1
  return `test ${process.pid} "${made}"`
}

/** A schema as SQL writes it. */
export function quoted(schema: string): string {
  return `"${schema.replaceAll('"', '""')}"`
}

/** How a store under test is opened. */
export interface OpenOptions {
  readonly driver?: Driver
  /** The hands of the server's own clock; else the one function of the schema that looks at a clock is replaced. */
  readonly clock?: MovedClock
  /** What that function answers then: µs since the epoch, from the server's time and `us`. */
  readonly time?: string
}

/** Opens a store in a new schema. */
export async function openPostgres(admin: pg.Pool, url: string, options: OpenOptions = {}): Promise<OpenedPostgres> {
  const schema = freshSchema()
  await migrate(admin, { schema })
  const clock = options.clock ?? (await replacedClock(admin, schema, options.time))
  const ends: (() => Promise<void>)[] = []
  const another = (more: PostgresStoreOptions = {}): Store => {
    const { pool, end } = connect(url, options.driver)
    ends.push(end)
    return postgresStore(pool, { schema, ...more })
  }
  return {
    schema,
    admin,
    store: another(),
    another,
    advance: (ms) => clock.advance(ms),
    stepWall: (ms) => clock.stepWall(ms),
    close: async () => {
      await Promise.all(ends.map((end) => end()))
      await admin.query(`DROP SCHEMA ${quoted(schema)} CASCADE`)
    },
  }
}

async function replacedClock(
  admin: pg.Pool,
  schema: string,
  time = '(extract(epoch FROM clock_timestamp()) * 1000000)::bigint + us',
): Promise<MovedClock> {
  const table = `${quoted(schema)}.test_clock`
  await admin.query(`
    CREATE TABLE ${table} (one boolean PRIMARY KEY DEFAULT true, us bigint NOT NULL DEFAULT 0);
    INSERT INTO ${table} DEFAULT VALUES;
    CREATE OR REPLACE FUNCTION ${quoted(schema)}.clock_us() RETURNS bigint LANGUAGE sql VOLATILE AS
      'SELECT ${time} FROM ${table} WHERE one'`)
  const move = async (ms: number): Promise<void> => {
    await admin.query(`UPDATE ${table} SET us = us + $1::bigint`, [ms * 1000])
  }
  return { advance: move, stepWall: move }
}

/** Gives a record a format that no version has. */
export async function damage({ admin, schema }: OpenedPostgres, recordId: RecordId): Promise<void> {
  await admin.query(`UPDATE ${quoted(schema)}.records SET format = 250 WHERE id = $1`, [recordId])
}
