/** Brings what this process has counted to the store: each entry as a whole, again until it is there. */
import type { Store, Tally } from 'oncekey/store'

/** What this process has counted under one name, since its begin. None removes it from the store. */
export interface Entry {
  readonly name: string
  counts: Record<string, number>
}

/** What writing needs of its process. */
export interface TallyingParts {
  readonly store: Pick<Store, 'tally'>
  /** New for every process: no other one writes under this name. */
  readonly writer: string
  /** Runs once, after `delayMs`; 0 is the end of this turn, when the engine's own calls go out too. Answers how to cancel. */
  readonly later: (delayMs: number, run: () => void) => () => void
  /** Hears why counts could not be written; they are kept and tried again. */
  readonly failed: (error: unknown) => void
}

/** What nobody paid may be a second late. */
const lateMs = 1_000

/** Entries that have changed, on their way to the store. */
export class Tallying {
  readonly #parts: TallyingParts
  readonly #changed = new Set<Entry>()
  #cancel: (() => void) | undefined
  #urgent = false
  #writing: Promise<void> | undefined
  #closed = false

  constructor(parts: TallyingParts) {
    this.#parts = parts
  }

  /** Writes it at the end of this turn, or within a second. */
  changed(entry: Entry, now: boolean): void {
    this.#changed.add(entry)
    this.#schedule(now)
  }

  /** Has it changed since it was written? */
  has(entry: Entry): boolean {
    return this.#changed.has(entry)
  }

  /** Writes all of it. Rejects when the store refuses. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel?.()
    await this.#writing
    await this.#write()
  }

  #schedule(now: boolean): void {
    if (this.#closed || (this.#cancel !== undefined && (this.#urgent || !now))) return
    this.#cancel?.()
    this.#urgent = now
    this.#cancel = this.#parts.later(now ? 0 : lateMs, () => {
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
        if (this.#changed.size > 0) this.#schedule(true)
      })
  }

  async #write(): Promise<void> {
    if (this.#changed.size === 0) return
    const { store, writer } = this.#parts
    const entries = [...this.#changed]
    this.#changed.clear()
    try {
      await store.tally(entries.map(({ name, counts }): Tally => ({ name, writer, counts: { ...counts } })))
    } catch (error) {
      for (const entry of entries) this.#changed.add(entry)
      throw error
    }
  }
}
