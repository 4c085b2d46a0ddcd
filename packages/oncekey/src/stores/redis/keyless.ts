/**
 * Keyless lists in Redis. The list is one key, the records that tell whose owner is gone are others, maybe on other
 * servers: no script may touch both. So a step reads the list, looks at the owners, and replaces the list if it is still
 * the one that was read. Of two retries that saw the same entry one wins, and the other looks again (S19). An owner may
 * come back between the look and the write; so it may in any store, a moment after.
 */

import type { RecordId } from '../../core/key.ts'
import { type KeylessAnswer, type KeylessCommand, type KeylessEntry, keylessSteps } from '../../core/keyless.ts'
import type { ReadAnswer } from '../../core/store.ts'
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

  /** Steps on the list under a key, all in one write. */
  steps(key: string, commands: readonly KeylessCommand[]): Promise<readonly KeylessAnswer[]> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(() => this.#attempt(key, commands))
    const done = turn
      .catch(() => {})
      .then(() => {
        if (this.#last.get(key) === done) this.#last.delete(key)
      })
    this.#last.set(key, done)
    return turn
  }

  async #attempt(key: string, commands: readonly KeylessCommand[]): Promise<readonly KeylessAnswer[]> {
    for (;;) {
      const { nowMs, text } = await this.#look(key)
      const list = text === '' ? [] : (JSON.parse(text) as Kept).entries
      const leaseLeftMs = await this.#running(list, commands)
      const gone = (id: RecordId, command: KeylessCommand): boolean =>
        command.kind === 'adopt' && (leaseLeftMs.get(id) ?? 0) < -command.skewMs
      const done = keylessSteps(list, commands, nowMs, gone)
      if (done.list === list || (done.list.length === 0 && text === '')) return done.answers
      if (await this.#replace(key, text, done.list)) return done.answers
    }
  }

  async #look(key: string): Promise<{ readonly nowMs: number; readonly text: string }> {
    const [reply] = await this.#parts.runner.run(value, [{ key, args: [] }])
    const [nowMs, held] = reply as readonly [number, unknown]
    return { nowMs, text: held instanceof Uint8Array ? textOf(held) : '' }
  }

  /** Of the entries that a retry might adopt, those that run, and how long their leases still hold. */
  async #running(
    list: readonly KeylessEntry[],
    commands: readonly KeylessCommand[],
  ): Promise<ReadonlyMap<RecordId, number>> {
    const most = Math.max(0, ...commands.map((command) => (command.kind === 'adopt' ? command.count : 0)))
    const ids = list.filter((entry) => entry.count < most && !entry.left).map((entry) => entry.recordId)
    if (ids.length === 0) return new Map()
    const found = await this.#parts.read(ids)
    const running = ids.flatMap((id, at) => {
      const { record, leaseLeftMs } = found[at] as ReadAnswer
      return record?.state === 'running' ? [[id, leaseLeftMs] as const] : []
    })
    return new Map(running)
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
