/** The PostgreSQL store: records in a schema of a database that many processes and machines share. */
import { IdempotencyError } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'
import type { KeylessAnswer } from '../../core/keyless.ts'
import type { AttemptId, RecordState } from '../../core/record.ts'
import type {
  AppendAnswer,
  AppendRequest,
  ClaimAnswer,
  ClaimRequest,
  Finding,
  KeptStep,
  KeylessRequest,
  PurgeAnswer,
  PurgeRequest,
  ReadAnswer,
  RenewAnswer,
  RenewRequest,
  ResolveRequest,
  ScanPage,
  SettleAnswer,
  Settlement,
  Store,
  StoreCapabilities,
  SweepReport,
  Tally,
  TallyPage,
} from '../../core/store.ts'
import type { Port } from './asks.ts'
import { append, readBody, steps } from './body.ts'
import { claim } from './claim.ts'
import { identifier, isPool, type PostgresPool, type Query, queryOf } from './database.ts'
import { unavailable } from './errors.ts'
import { PostgresHints } from './hints.ts'
import { keyless, meta, purge, sweep } from './lists.ts'
import { schemaOf } from './migrate.ts'
import { read, scan } from './read.ts'
import { renew } from './renew.ts'
import { resolve, settle, settleIn } from './settle.ts'
import { findingsOf, isReplicated, missingPrivileges, refuse, setupOf } from './setup.ts'
import { putTallies, tallyPage } from './tallies.ts'

export type { PgDatabase, PgQuery, PostgresDatabase, PostgresPool, PostgresQuery, Value } from './database.ts'
export { type MigrateOptions, migrate } from './migrate.ts'

/** Options of the PostgreSQL store. */
export interface PostgresStoreOptions {
  /** The schema that `migrate` has made. Default `oncekey`. */
  readonly schema?: string
  /**
   * Works with `fsync` or `full_page_writes` off, and leaves `synchronous_commit = off` as it is. A crash of the server
   * may then lose what was acknowledged, and a lost record executes again. Default false.
   */
  readonly dangerouslyAllowLoss?: boolean
  /**
   * Who waits in another process hears of a change at once and not at the next poll. Costs a connection of the pool for
   * each process that waits, and one small statement more for each call that writes: up to a quarter of the throughput of
   * the server. Has no effect behind PgBouncer, where polling goes on. Default false.
   */
  readonly hints?: boolean
}

/**
 * Records in PostgreSQL 15 or later. `pool` is a `pg` Pool or a `postgres` instance; it stays yours to end. The schema must be there
 * ({@link migrate}). The server's setup is looked at before the first call, which rejects (`config_invalid`) where the
 * promise would not hold.
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): Store {
  if (!isPool(pool))
    throw new IdempotencyError('config_invalid', 'postgresStore needs a pg Pool or a postgres instance.')
  return new PostgresStore(pool, options)
}

class PostgresStore implements Store {
  readonly #schema: string
  readonly #allowLoss: boolean
  readonly #query: Query
  readonly #port: Port
  readonly #hints: PostgresHints | undefined
  readonly watch?: NonNullable<Store['watch']>
  #replicated = false
  #starting: Promise<void> | undefined
  #closed = false

  constructor(pool: PostgresPool, options: PostgresStoreOptions) {
    this.#schema = schemaOf(options.schema)
    this.#allowLoss = options.dangerouslyAllowLoss ?? false
    this.#query = failing(queryOf(pool))
    this.#port = this.#portOf((text, values) => this.#started(text, values))
    if (options.hints === true) {
      const hints = new PostgresHints(pool, this.#query, this.#schema)
      this.#hints = hints
      this.watch = (recordId, onHint) => hints.watch(recordId, onHint)
    }
    listen(pool)
  }

  /** `durability` is `disk` until the first call has looked at the server, and then what its settings say. */
  get capabilities(): StoreCapabilities {
    const durability = this.#allowLoss ? 'process' : this.#replicated ? 'replicated' : 'disk'
    return {
      name: 'postgres',
      clock: 'store',
      durability,
      hints: this.#hints !== undefined,
      callsInFlight: 4,
      multiProcess: true,
      transactional: true,
    }
  }

  async claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    return requests.length === 0 ? [] : claim(this.#port, requests)
  }

  async renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return requests.length === 0 ? [] : renew(this.#port, requests)
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    const answers = settlements.length === 0 ? [] : await settle(this.#port, settlements)
    // Nobody waits for a dispatch or a step. After `already` nobody may have been told: the first call's answer was lost.
    this.#tell(settlements, (at) => answers[at]?.kind !== 'fenced' && changesForOthers(settlements[at]))
    return answers
  }

  async append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    const answers = requests.length === 0 ? [] : await append(this.#port, requests)
    this.#tell(requests, (at) => answers[at]?.kind !== 'refused')
    return answers
  }

  async read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
    return recordIds.length === 0 ? [] : read(this.#port, recordIds)
  }

  readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    return readBody(this.#port, recordId, attemptId, offset)
  }

  steps(recordId: RecordId): Promise<readonly KeptStep[]> {
    return steps(this.#port, recordId)
  }

  async keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
    return requests.length === 0 ? [] : keyless(this.#port, requests)
  }

  async resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
    const answers = requests.length === 0 ? [] : await resolve(this.#port, requests)
    this.#tell(requests, (at) => answers[at]?.kind !== 'fenced')
    return answers
  }

  purge(requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]> {
    return purge(this.#port, requests)
  }

  scan(
    cursor: string | undefined,
    filter: { readonly state?: RecordState; readonly limit: number },
  ): Promise<ScanPage> {
    return scan(this.#port, cursor, filter)
  }

  sweep(limit: number, skewMs: number): Promise<SweepReport> {
    return sweep(this.#port, limit, skewMs)
  }

  meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
    return meta(this.#port, name, ifAbsent)
  }

  async tally(tallies: readonly Tally[]): Promise<void> {
    if (tallies.length > 0) await putTallies(this.#port, tallies)
  }

  tallies(cursor: string | undefined, prefix?: string): Promise<TallyPage> {
    return tallyPage(this.#port, cursor, prefix)
  }

  async diagnose(): Promise<readonly Finding[]> {
    const setup = await setupOf(this.#query, this.#schema)
    const missing = setup.schema === 'current' ? await missingPrivileges(this.#query, this.#schema) : []
    return findingsOf(setup, !this.#allowLoss, missing)
  }

  /**
   * `transaction` is a `pg` client that has begun one, or the `sql` that `sql.begin` hands out. Call it last: the record
   * is locked until the transaction ends. Throws unless this call recorded the settlement; let the throw roll back.
   * Gives no hint: nobody here sees the commit, and a NOTIFY inside would put the user's own commits in line.
   */
  async settleIn(transaction: unknown, settlement: Settlement): Promise<SettleAnswer> {
    if (!isPool(transaction)) {
      throw new IdempotencyError('config_invalid', 'commit needs the client or sql of the transaction that is open.')
    }
    return settleIn(this.#portOf(failing(queryOf(transaction))), settlement)
  }

  /** Refuses every later call. The pool is left to whoever made it. */
  async close(): Promise<void> {
    this.#closed = true
    this.#hints?.close()
  }

  #tell(asks: readonly { readonly recordId: RecordId }[], changed: (at: number) => boolean): void {
    this.#hints?.tell(asks.flatMap(({ recordId }, at) => (changed(at) ? [recordId] : [])))
  }

  #portOf(query: Query): Port {
    return { query, schema: identifier(this.#schema), durable: !this.#allowLoss }
  }

  async #started(...[text, values]: Parameters<Query>): ReturnType<Query> {
    if (this.#closed) throw new IdempotencyError('store_unavailable', 'This store was closed. Open another one.')
    if (this.#starting === undefined) {
      this.#starting = this.#start()
      // A server that was away, or that somebody has set right meanwhile, is looked at again by the next call.
      this.#starting.catch(() => {
        this.#starting = undefined
      })
    }
    await this.#starting
    return this.#query(text, values)
  }

  async #start(): Promise<void> {
    const setup = await setupOf(this.#query, this.#schema)
    refuse(setup, this.#schema, this.#allowLoss)
    this.#replicated = isReplicated(setup, !this.#allowLoss)
  }
}

function changesForOthers(ask: Settlement | undefined): boolean {
  return ask?.kind !== 'dispatched' && ask?.kind !== 'step'
}

/** The query with the driver's errors as ours. */
function failing(query: Query): Query {
  return async (text, values) => {
    try {
      return await query(text, values)
    } catch (error) {
      throw unavailable(error)
    }
  }
}

/**
 * A `pg` pool tells of an idle connection that broke by an `error` event, which ends the process where nobody listens. The
 * pool has already thrown the connection away, so there is nothing to do but to listen.
 */
function listen(pool: PostgresPool): void {
  const events = pool as { on?: unknown; listenerCount?: unknown }
  if ('unsafe' in pool || typeof events.on !== 'function' || typeof events.listenerCount !== 'function') return
  if (events.listenerCount.call(pool, 'error') === 0) events.on.call(pool, 'error', () => undefined)
}
