/** PostgreSQL by URL, through a pool of `pg`; and its migration. */
import { migrate, postgresStore } from 'oncekey/postgres'
import pg from 'pg'
import { redacted, UsageError } from '../config/index.ts'
import { unreachable } from './reach.ts'
import type { OpenedStore } from './store.ts'

/** Shorter than what the store has at the start, so that the reason is told and not the time. */
const connectMs = 4_000

/** The parameters of a URL that mean something here; another one would be a misspelt one, and another schema a second store. */
const known: readonly string[] = [
  'schema',
  'hints',
  'application_name',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'uselibpqcompat',
]

/** What a URL says. */
export interface PostgresUrl {
  /** As the driver wants it: without what is ours. */
  readonly connectionString: string
  readonly schema: string | undefined
  readonly hints: boolean
}

/** Reads `postgres://[USER:PASSWORD@]HOST[:PORT]/DATABASE[?schema=NAME&hints=1&sslmode=…]`. Throws UsageError. */
export function readPostgresUrl(url: string): PostgresUrl {
  const wrong = (what: string): UsageError => new UsageError(`The store "${redacted(url)}" ${what}.`)
  if (!URL.canParse(url)) throw wrong('must look like postgres://USER:PASSWORD@HOST:PORT/DATABASE')
  const parsed = new URL(url)
  const unknown = [...parsed.searchParams.keys()].find((name) => !known.includes(name))
  if (unknown !== undefined) throw wrong(`has the unknown option "${unknown}"; there are ${known.join(', ')}`)
  const schema = parsed.searchParams.get('schema') ?? undefined
  if (schema === '') throw wrong('has an empty schema')
  const hints = parsed.searchParams.get('hints') ?? '0'
  if (hints !== '0' && hints !== '1') throw wrong('has hints that are neither 0 nor 1')
  for (const ours of ['schema', 'hints']) parsed.searchParams.delete(ours)
  return { connectionString: parsed.href, schema, hints: hints === '1' }
}

/** Connects, migrates where that was asked for, and opens the store. */
export async function openPostgres(url: string, options: { readonly migrate: boolean }): Promise<OpenedStore> {
  const { schema, hints } = readPostgresUrl(url)
  const named = schema === undefined ? {} : { schema }
  const pool = await poolOf(url)
  try {
    if (options.migrate) await migrated(pool, url, schema)
    const store = postgresStore(pool, { ...named, hints })
    const close = async (): Promise<void> => {
      await store.close()
      await pool.end()
    }
    return { store, close }
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** `oncekey migrate`: creates or upgrades the schema, and answers its name. */
export async function migratePostgres(url: string, schema: string | undefined): Promise<string> {
  const name = schema ?? readPostgresUrl(url).schema
  const pool = await poolOf(url)
  try {
    await migrated(pool, url, name)
  } finally {
    await pool.end()
  }
  return name ?? 'oncekey'
}

async function migrated(pool: pg.Pool, url: string, schema: string | undefined): Promise<void> {
  try {
    await migrate(pool, schema === undefined ? {} : { schema })
  } catch (error) {
    const cause = (error as Error).cause ?? error
    if ((cause as { code?: string }).code !== '42501') throw error
    const { rows } = await pool.query<{ role: string; owner: string }>(
      `SELECT current_user AS role, coalesce((SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = $1),
        (SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database())) AS owner`,
      [schema ?? 'oncekey'],
    )
    const [{ role, owner } = { role: '', owner: '' }] = rows
    throw new Error(
      `The role ${role} may not create or upgrade the schema ${schema ?? 'oncekey'} in ${redacted(url)}. ` +
        `Run "oncekey migrate --store URL" once as the role ${owner}, then start with --no-migrate.`,
      { cause: error },
    )
  }
}

async function poolOf(url: string): Promise<pg.Pool> {
  const { connectionString } = readPostgresUrl(url)
  const named = { application_name: 'oncekey', connectionString }
  const pool = new pg.Pool({ ...named, connectionTimeoutMillis: connectMs, keepAlive: true })
  // Without a listener a connection that breaks while it is idle would end the process; the pool makes another.
  pool.on('error', () => undefined)
  try {
    const client = await pool.connect()
    client.release()
    return pool
  } catch (error) {
    await pool.end()
    throw unreachable(sentenceFor(error), url, error)
  }
}

/** What PostgreSQL refused, in our words; undefined for all that is about the way to it. */
function sentenceFor(error: unknown): string | undefined {
  const { code = '', message } = error as { code?: string; message: string }
  if (code === '28P01') return 'refused the user or password. Check USER:PASSWORD in the URL'
  if (code.startsWith('28')) return 'does not let this user in from here. Check the user, and pg_hba.conf of the server'
  if (code === '3D000') return 'has no such database. Create it, or check the end of the URL'
  if (code === '53300') return 'has no free connection. Raise max_connections, or start fewer processes'
  if (code === '57P03') return 'is starting up or shutting down. Try again'
  if (/password must be a string|no password/i.test(message)) return 'asks for a password. Put it into the URL'
  if (/does not support SSL/.test(message)) return 'speaks no TLS. Take sslmode out of the URL, or turn ssl on'
  return undefined
}
