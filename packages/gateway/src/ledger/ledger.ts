/** The ledger of one process: rows in memory, and in the store what this process has counted in each. */
import type { Store } from 'oncekey/store'
import { type Book, RequestAccount } from './account.ts'
import type { AskedFor } from './asked.ts'
import { Kept, type KeptOptions, keptOf } from './kept.ts'
import type { Prices } from './price.ts'
import { add, type Counts, keyOf, nameOf, type RowKey, type Spared } from './row.ts'
import { type Entry, Tallying, type TallyingParts } from './tallying.ts'

/** What the ledger needs of its process. */
export interface LedgerParts extends TallyingParts {
  readonly store: Pick<Store, 'tally' | 'tallies'>
  /** By the upstream's name. */
  readonly prices: ReadonlyMap<string, Prices>
  readonly wallMs: () => number
  /** Hears of everything that is counted, as it is. */
  readonly counted?: (key: RowKey, counts: Counts) => void
  /** Where tenants have a quota of what they keep. */
  readonly keeping?: KeptOptions
}

/** A process that meets more rows than this in a day counts the rest in one. */
const maxRows = 10_000
/** Rows of days before that are removed: what is left is a year and a month. */
const keptDays = 400
/** So long after a day's first request: it has what it came for. */
const forgetDelayMs = 1_000
const dayMs = 86_400_000

interface Row {
  readonly key: RowKey
  readonly entry: Entry & { readonly counts: Counts }
}

/** Counts, and brings what it has counted to the store. */
export class Ledger {
  readonly #parts: LedgerParts
  /** Undefined where tenants may keep as much as there is room for. */
  readonly kept: Kept | undefined
  readonly #tallying: Tallying
  readonly #rows = new Map<string, Row>()
  #day = ''
  #dayFrom = Number.POSITIVE_INFINITY
  #dayName = ''
  #closed = false

  constructor(parts: LedgerParts) {
    this.#parts = parts
    this.#tallying = new Tallying(parts)
    const { keeping, store, writer, wallMs, later } = parts
    this.kept = keeping && new Kept({ ...keeping, store, writer, wallMs, later, tallying: this.#tallying })
  }

  /** The account of one request. */
  account(asked: AskedFor, replayed?: Spared): RequestAccount {
    const book: Book = {
      prices: this.#parts.prices.get(asked.upstream),
      today: () => this.#today(),
      count: (key, counts, now) => this.count(key, counts, now),
      kept: this.kept,
    }
    return new RequestAccount(book, asked, replayed)
  }

  /** Adds to a row; `now` writes it at the end of this turn. */
  count(key: RowKey, counts: Counts, now: boolean): void {
    this.#parts.counted?.(key, counts)
    const { entry } = this.#row(key)
    add(entry.counts, counts)
    this.#tallying.changed(entry, now)
  }

  /** Executions found abandoned under `unknown`: nobody knows whose they were or what they used. */
  abandoned(count: number): void {
    if (count === 0) return
    this.count({ day: this.#today(), tenant: '', upstream: '', route: '', model: '' }, { lost: count }, true)
  }

  /** Writes all that is counted. Rejects when the store refuses. */
  async close(): Promise<void> {
    this.#closed = true
    this.kept?.close()
    await this.#tallying.close()
  }

  #today(): string {
    const now = this.#parts.wallMs()
    if (now < this.#dayFrom || now >= this.#dayFrom + dayMs) {
      this.#dayFrom = Math.floor(now / dayMs) * dayMs
      this.#dayName = new Date(now).toISOString().slice(0, 10)
    }
    return this.#dayName
  }

  #row(key: RowKey): Row {
    if (key.day !== this.#day) this.#begin(key.day)
    const { day, tenant, upstream, route, model } = key
    const id = `${day}\n${tenant}\n${upstream}\n${route}\n${model}`
    const known = this.#rows.get(id)
    if (known !== undefined) return known
    if (this.#rows.size >= maxRows && key.model !== '(more)')
      return this.#row({ day: key.day, tenant: '(more)', upstream: '', route: '', model: '(more)' })
    const row: Row = { key, entry: { name: nameOf(key), counts: {} } }
    this.#rows.set(id, row)
    return row
  }

  /** A new day: rows of former ones that are written are of no use here any more. */
  #begin(day: string): void {
    this.#day = day
    for (const [id, { key, entry }] of this.#rows)
      if (key.day !== day && !this.#tallying.has(entry)) this.#rows.delete(id)
    this.#parts.later(forgetDelayMs, () => void this.#forget().catch(this.#parts.failed))
  }

  async #forget(): Promise<void> {
    const nowMs = this.#parts.wallMs()
    const oldest = new Date(nowMs - keptDays * dayMs).toISOString().slice(0, 10)
    // A day's grace, for its writer's clock may be behind.
    const isOld = (name: string): boolean =>
      (keyOf(name)?.day ?? oldest) < oldest || (keptOf(name)?.endMs ?? nowMs) < nowMs - dayMs
    let cursor: string | undefined
    do {
      const page = await this.#parts.store.tallies(cursor)
      const old = page.tallies.filter(({ name }) => isOld(name))
      if (old.length > 0) await this.#parts.store.tally(old.map((tally) => ({ ...tally, counts: {} })))
      cursor = page.cursor
    } while (cursor !== undefined && !this.#closed)
  }
}
