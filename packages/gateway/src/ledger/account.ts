/** What one request came to: for the ledger, and for the request's line in the log. */
import type { Account, Executed } from 'oncekey/http'
import type { Usage } from 'oncekey/providers'
import { type AskedFor, askedModel } from './asked.ts'
import type { Kept } from './kept.ts'
import type { Prices } from './price.ts'
import type { Counts, RowKey, Spared } from './row.ts'
import { bounded, routeOf, tenantLabel } from './row.ts'

/** What is kept beside an outcome, and comes back with each replay. */
export interface Note {
  readonly model: string
  /** Undefined where the answer told no usage. */
  readonly usage?: Usage['units']
  readonly nanodollars?: number
  readonly drained?: true
}

/** Where an account's counts go. */
export interface Book {
  readonly prices: Prices | undefined
  today(): string
  /** `now`: it was paid, so it goes to the store with the settlement; what was spared may wait a second. */
  count(key: RowKey, counts: Counts, now: boolean): void
  /** Undefined where tenants may keep as much as there is room for. */
  readonly kept: Pick<Kept, 'add' | 'begin'> | undefined
}

/** One request's account. */
export class RequestAccount implements Account {
  recordId: string | undefined
  /** Which attempt of the operation this request executed; undefined where it executed none. */
  attempt: number | undefined
  /** What the execution behind the answer used, whoever ran it. */
  note: Note | undefined
  readonly #book: Book
  readonly #asked: AskedFor
  /** Replays of a batch that is run again are told apart from those of clients. */
  readonly #replayed: Spared
  #tenant = ''
  #label = ''
  /** Says that the execution this request has begun runs no more. */
  #end: (() => void) | undefined

  constructor(book: Book, asked: AskedFor, replayed: Spared = 'replayed') {
    this.#book = book
    this.#asked = asked
    this.#replayed = replayed
  }

  named(tenant: string, recordId: string): void {
    this.#tenant = tenant
    this.#label = tenantLabel(tenant)
    this.recordId = recordId
  }

  granted(attempt: number, by: string): void {
    this.attempt = attempt
    this.#end = this.#book.kept?.begin(this.#tenant)
    if (by === 'takeover') this.#count(this.#model(undefined), { lost: 1 }, true)
  }

  executed({ class: ending, status, usage, drained, keptBytes, keptMs }: Executed): Note | undefined {
    this.ended()
    if (keptBytes !== undefined) this.#book.kept?.add(this.#tenant, keptBytes, keptMs)
    if (ending === 'not_executed') {
      this.#count(this.#model(usage), { notExecuted: 1 }, false)
      return undefined
    }
    const model = this.#model(usage)
    const nanodollars = usage === undefined ? undefined : this.#book.prices?.nanodollars(usage, model || undefined)
    this.#count(model, executedCounts(status, usage, nanodollars), true)
    this.note = {
      model,
      ...(usage === undefined ? {} : { usage: usage.units }),
      ...(nanodollars === undefined ? {} : { nanodollars }),
      ...(drained ? { drained } : {}),
    }
    return this.note
  }

  /** Nothing of this request runs any more, whatever became of it. */
  ended(): void {
    this.#end?.()
    this.#end = undefined
  }

  spared(how: 'replayed' | 'joined', note: unknown): void {
    const read = noteOf(note)
    this.note = read
    const spared: Spared = how === 'joined' ? 'joined' : read?.drained ? 'drained' : this.#replayed
    const price = read?.nanodollars
    const counts: Counts = price === undefined ? { [`${spared}Unpriced`]: 1 } : { [`${spared}Nanodollars`]: price }
    this.#count(read?.model ?? this.#model(undefined), { [spared]: 1, ...counts }, false)
  }

  #count(model: string, counts: Counts, now: boolean): void {
    const { upstream, method, path } = this.#asked
    const key = { day: this.#book.today(), tenant: this.#label, upstream, route: routeOf(method, path), model }
    this.#book.count(key, counts, now)
  }

  #model(usage: Usage | undefined): string {
    return bounded(usage?.model ?? askedModel(this.#asked) ?? '')
  }
}

function executedCounts(status: number | undefined, usage: Usage | undefined, nanodollars: number | undefined): Counts {
  if (usage === undefined) {
    const refused = status !== undefined && status >= 400 && status < 500
    return { executed: 1, [refused ? 'refused' : 'unmetered']: 1 }
  }
  const { inputTokens = 0, outputTokens = 0, cacheReadTokens = 0, cacheWriteTokens = 0 } = usage.units
  const price: Counts = nanodollars === undefined ? { unpriced: 1 } : { nanodollars }
  return { executed: 1, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, ...price }
}

/** A note as it comes back from the store, of this version or another; undefined when it is none. */
function noteOf(note: unknown): Note | undefined {
  if (typeof note !== 'object' || note === null) return undefined
  const { model, nanodollars } = note as Partial<Note>
  if (typeof model !== 'string') return undefined
  return nanodollars === undefined || Number.isSafeInteger(nanodollars) ? (note as Note) : undefined
}
