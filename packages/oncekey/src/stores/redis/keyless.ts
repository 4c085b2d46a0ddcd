/**
 * Keyless lists in Redis. The list is one key, the records that tell whose owner is gone are others, maybe on other
 * servers: no script may touch both. So a step reads the list, looks at the owners, and replaces the list if it is still
 * the one that was read. Of two retries that saw the same entry one wins, and the other looks again (S19). An owner may
 * come back between the look and the write; so it may in any store, a moment after.
 */

import type { RecordId } from '../../core/key.ts'
import { type KeylessAnswer, type KeylessEntry, keylessStep } from '../../core/keyless.ts'
import type { KeylessRequest, ReadAnswer } from '../../core/store.ts'
import { textOf } from './answers.ts'
import type { Runner } from './run.ts'
import { replace, value } from './values.lua.ts'

/** What the lists need of the store. */
export interface KeylessParts {
  readonly runner: Runner
  read(ids: readonly RecordId[]): Promise<readonly ReadAnswer[]>
}

/** A list as it is kept. The mark differs with every write, so that a write sent twice is known for the same one. */
interface Kept {
  readonly mark: string
  readonly entries: readonly KeylessEntry[]
}

/** The lists of one store. */
export class KeylessLists {
  readonly #parts: KeylessParts
  /** Steps of this process on one list go one after the other: racing each other they would all but one begin anew. */
  readonly #last = new Map<string, Promise<unknown>>()

  constructor(parts: KeylessParts) {
    this.#parts = parts
  }

  /** One step on the list under a key. */
  step(key: string, ask: KeylessRequest): Promise<KeylessAnswer> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(() => this.#attempt(key, ask))
    const done = turn
      .catch(() => {})
      .then(() => {
        if (this.#last.get(key) === done) this.#last.delete(key)
      })
    this.#last.set(key, done)
    return turn
  }

  async #attempt(key: string, ask: KeylessRequest): Promise<KeylessAnswer> {
    for (;;) {
      const { nowMs, text } = await this.#look(key)
      const list = text === '' ? [] : (JSON.parse(text) as Kept).entries
      const gone = ask.kind === 'adopt' ? await this.#gone(list, ask.count, ask.skewMs) : new Set<RecordId>()
      const step = keylessStep(list, ask, nowMs, (id) => gone.has(id))
      if (step.list === list || (step.list.length === 0 && text === '')) return step.answer
      if (await this.#replace(key, text, step.list)) return step.answer
    }
  }

  async #look(key: string): Promise<{ readonly nowMs: number; readonly text: string }> {
    const [reply] = await this.#parts.runner.run(value, [{ key, args: [] }])
    const [nowMs, held] = reply as readonly [number, unknown]
    return { nowMs, text: held instanceof Uint8Array ? textOf(held) : '' }
  }

  /** Of the entries that a retry of this count might adopt, those whose owner runs and has let its lease go. */
  async #gone(list: readonly KeylessEntry[], count: number, skewMs: number): Promise<ReadonlySet<RecordId>> {
    const ids = list.filter((entry) => entry.count < count && !entry.left).map((entry) => entry.recordId)
    const found = await this.#parts.read(ids)
    return new Set(
      ids.filter((_, at) => {
        const { record, leaseLeftMs } = found[at] as ReadAnswer
        return record?.state === 'running' && leaseLeftMs < -skewMs
      }),
    )
  }

  async #replace(key: string, former: string, entries: readonly KeylessEntry[]): Promise<boolean> {
    const kept: Kept = { mark: crypto.randomUUID(), entries }
    const next = entries.length === 0 ? '' : JSON.stringify(kept)
    const expiresAt = entries.reduce((last, entry) => Math.max(last, entry.expiresAt), 0)
    // Behind the last entry's end by one, for an entry can be adopted until its end and at it.
    const args = [former, next, String(Math.ceil(expiresAt) + 1)]
    const [reply] = await this.#parts.runner.run(replace, [{ key, args }])
    return reply === 1
  }
}
