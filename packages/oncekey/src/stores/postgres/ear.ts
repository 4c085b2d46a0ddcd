/** The one connection of a process that hears notifications, by either driver; made again whenever it is lost. */
import { IdempotencyError } from '../../core/errors.ts'
import { identifier, type PostgresPool } from './database.ts'

/** A connection that listens, or is about to. */
export interface Ear {
  close(): void
}

/** What it needs of a `pg` pool, beside queries. */
interface PgPool {
  readonly options?: { readonly max?: number }
  connect(): Promise<PgClient>
}

interface PgClient {
  /** Of the server's process, as the server said when it let us in. */
  readonly processID?: number | null
  on(event: string, listener: (notification: { readonly payload?: string }) => void): unknown
  query(text: string): Promise<{ readonly rows: readonly unknown[] }>
  release(destroy: boolean): void
  unref?(): void
}

/** What it needs of a `postgres` instance. */
interface Postgres {
  unsafe(text: string): PromiseLike<readonly unknown[] & { readonly state?: { readonly pid?: number } }>
  listen(channel: string, onMessage: (message: string) => void): Promise<{ unlisten(): Promise<void> }>
}

/** How long a lost connection stays lost at first, and at most: waiters poll meanwhile. */
const reconnectMs = { first: 100, most: 10_000 }

/**
 * Behind a pooler the process that answers is not the one that let us in. In PgBouncer's transaction mode a LISTEN
 * would then stay on a connection that others use, who would get the messages in our place. So we do without.
 */
const whoAnswers = 'SELECT pg_backend_pid()'

function isPooled(pid: number | null | undefined, rows: readonly unknown[]): boolean {
  // By place and as a number, for users may have their own parsers and names.
  return pid !== undefined && pid !== null && Number(Object.values(rows[0] as object)[0]) !== pid
}

/** How to open an ear on a channel. Throws `config_invalid` where the pool has no connection to spare. */
export function earOf(pool: PostgresPool, channel: string, heard: (message: string) => void): () => Ear {
  if ('unsafe' in pool) {
    const sql = pool as unknown as Postgres
    if (typeof sql.listen === 'function') return () => postgresEar(sql, channel, heard)
  } else {
    const found = pool as unknown as PgPool
    // Calls would wait for ever for the one connection that listens.
    const spare = typeof found.connect === 'function' && (found.options?.max ?? 2) > 1
    if (spare) return () => new PgEar(found, channel, heard)
  }
  const sentence = 'The option hints keeps one connection for itself: give the store a pool of two or more.'
  throw new IdempotencyError('config_invalid', sentence)
}

/**
 * `postgres` has one connection for all LISTENs of an instance, beside its pool. It makes it again by itself, and keeps
 * it to the end of the instance.
 */
function postgresEar(sql: Postgres, channel: string, heard: (message: string) => void): Ear {
  let closed = false
  let unlisten: (() => Promise<void>) | undefined
  const open = async (): Promise<void> => {
    const rows = await sql.unsafe(whoAnswers)
    if (closed || isPooled(rows.state?.pid, rows)) return
    ;({ unlisten } = await sql.listen(channel, heard))
    if (closed) await unlisten()
  }
  const ignored = (): undefined => undefined
  open().catch(ignored)
  return {
    close: () => {
      closed = true
      unlisten?.().catch(ignored)
    },
  }
}

/** A client of the pool, kept. */
class PgEar implements Ear {
  readonly #pool: PgPool
  readonly #channel: string
  readonly #heard: (message: string) => void
  #client: PgClient | undefined
  #timer: NodeJS.Timeout | undefined
  #waitMs = reconnectMs.first
  #closed = false

  constructor(pool: PgPool, channel: string, heard: (message: string) => void) {
    this.#pool = pool
    this.#channel = channel
    this.#heard = heard
    void this.#open()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#leave(true)
  }

  async #open(): Promise<void> {
    let client: PgClient | undefined
    try {
      client = await this.#pool.connect()
      this.#client = client
      const lost = this.#lost.bind(this, client)
      client.on('error', lost)
      client.on('end', lost)
      client.on('notification', ({ payload }) => this.#heard(payload ?? ''))
      if (this.#closed) return this.#leave(true)
      const { rows } = await client.query(whoAnswers)
      if (isPooled(client.processID, rows)) return this.#leave(false)
      await client.query(`LISTEN ${identifier(this.#channel)}`)
      // Whoever waits for a hint polls too: this connection alone need not keep the process alive.
      client.unref?.()
      this.#waitMs = reconnectMs.first
    } catch {
      this.#lost(client)
    }
  }

  /** A connection tells its end more than once, and close is no loss. */
  #lost(client: PgClient | undefined): void {
    if (this.#closed || client !== this.#client) return
    this.#leave(true)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#open(), this.#waitMs).unref()
    this.#waitMs = Math.min(this.#waitMs * 2, reconnectMs.most)
  }

  #leave(destroy: boolean): void {
    const client = this.#client
    this.#client = undefined
    client?.release(destroy)
  }
}
