/** The ledger of one process: rows in memory, and in the store what this process has counted in each. */
import type { Store, Tally } from 'oncekey/store'
import { type Book, RequestAccount } from './account.ts'
import type { AskedFor } from './asked.ts'
import type { Prices } from './price.ts'
import { add, type Counts, keyOf, nameOf, type RowKey, type Spared } from './row.ts'

/** What the ledger needs of its process. */
export interface LedgerParts {
  readonly store: Pick<Store, 'tally' | 'tallies'>
  /** New for every process: no other one writes under this name. */
  readonly writer: string
  /** By the upstream's name. */
  readonly prices: ReadonlyMap<string, Prices>
  readonly wallMs: () => number
  /** Runs once, after `delayMs`; 0 is the end of this turn, when the engine's own calls go out too. Answers how to cancel. */
  readonly later: (delayMs: number, run: () => void) => () => void
  /** Hears why counts could not be written; they are kept and tried again. */
  readonly failed: (error: unknown) => void
}

/** What was spared may be a second late: nobody paid it. */
const sparedDelayMs = 1_000
/** A process that meets more rows than this in a day counts the rest in one. */
const maxRows = 10_000
/** Rows of days before that are removed: what is left is a year and a month. */
const keptDays = 400
const dayMs = 86_400_000

interface Row {
  readonly key: RowKey
  readonly counts: Counts
  dirty: boolean
}

/** Counts, and brings what it has counted to the store. */
export class Ledger {
  readonly #parts: LedgerParts
  readonly #rows = new Map<string, Row>()
  #day = ''
  #dayFrom = Number.POSITIVE_INFINITY
  #dayName = ''
  #cancel: (() => void) | undefined
  #urgent = false
  #writing: Promise<void> | undefined
  #closed = false

  constructor(parts: LedgerParts) {
    this.#parts = parts
  }

  /** The account of one request. */
  account(asked: AskedFor, replayed?: Spared): RequestAccount {
    const book: Book = {
      prices: this.#parts.prices.get(asked.upstream),
      today: () => this.#today(),
      count: (key, counts, now) => this.count(key, counts, now),
    }
    return new RequestAccount(book, asked, replayed)
  }

  /** Adds to a row; `now` writes it at the end of this turn. */
  count(key: RowKey, counts: Counts, now: boolean): void {
    const row = this.#row(key)
    add(row.counts, counts)
    row.dirty = true
    this.#schedule(now)
  }

  /** Executions found abandoned under `unknown`: nobody knows whose they were or what they used. */
  abandoned(count: number): void {
    if (count === 0) return
    this.count({ day: this.#today(), tenant: '', upstream: '', route: '', model: '' }, { lost: count }, true)
  }

  /** Writes all that is counted. Rejects when the store refuses. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel?.()
    await this.#writing
    await this.#write()
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
    const name = `${day}\n${tenant}\n${upstream}\n${route}\n${model}`
    const known = this.#rows.get(name)
    if (known !== undefined) return known
    if (this.#rows.size >= maxRows && key.model !== '(more)')
      return this.#row({ day: key.day, tenant: '(more)', upstream: '', route: '', model: '(more)' })
    const row: Row = { key, counts: {}, dirty: false }
    this.#rows.set(name, row)
    return row
  }

  /** A new day: rows of former ones that are written are of no use here any more. */
  #begin(day: string): void {
    this.#day = day
    for (const [name, row] of this.#rows) if (!row.dirty && row.key.day !== day) this.#rows.delete(name)
    this.#parts.later(sparedDelayMs, () => void this.#forget().catch(this.#parts.failed))
  }

  #schedule(now: boolean): void {
    if (this.#closed || (this.#cancel !== undefined && (this.#urgent || !now))) return
    this.#cancel?.()
    this.#urgent = now
    this.#cancel = this.#parts.later(now ? 0 : sparedDelayMs, () => {
      this.#cancel = undefined
      this.#urgent = false
      if (this.#writing === undefined) this.#start()
    })
  }

  #start(): void {
    this.#writing = this.#write()
      .catch((error: unknown) => {
        this.#parts.failed(error)
        this.#schedule(false)
      })
      .finally(() => {
        this.#writing = undefined
        // What was counted while the call was under way goes with the next one.
        if ([...this.#rows.values()].some((row) => row.dirty)) this.#schedule(true)
      })
  }

  async #write(): Promise<void> {
    const rows = [...this.#rows.values()].filter((row) => row.dirty)
    if (rows.length === 0) return
    const tallies = rows.map(({ key, counts }): Tally => {
      return { name: nameOf(key), writer: this.#parts.writer, counts: { ...counts } as Record<string, number> }
    })
    for (const row of rows) row.dirty = false
    try {
      await this.#parts.store.tally(tallies)
    } catch (error) {
      for (const row of rows) row.dirty = true
      throw error
    }
  }

  async #forget(): Promise<void> {
    const oldest = new Date(this.#parts.wallMs() - keptDays * dayMs).toISOString().slice(0, 10)
    let cursor: string | undefined
    do {
      const page = await this.#parts.store.tallies(cursor)
      const old = page.tallies.filter(({ name }) => (keyOf(name)?.day ?? oldest) < oldest)
      if (old.length > 0) await this.#parts.store.tally(old.map((tally) => ({ ...tally, counts: {} })))
      cursor = page.cursor
    } while (cursor !== undefined && !this.#closed)
  }
}
