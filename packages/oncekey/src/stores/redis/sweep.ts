/** Sweeping: SCAN over each primary in small pieces, a look at each record, and a script on those that are over. */
import { decodeRecord } from '../../core/encoding.ts'
import type { IdempotencyRecord } from '../../core/record.ts'
import * as reducer from '../../core/reducer.ts'
import type { SweepReport } from '../../core/store.ts'
import { textOf } from './answers.ts'
import type { FenceFloor } from './floor.ts'
import { sweep } from './others.lua.ts'
import { refusal } from './refusals.ts'
import type { Runner } from './run.ts'
import type { Reply, Wire } from './wire.ts'

type Counts = { -readonly [Step in keyof SweepReport]: SweepReport[Step] }

/** What a sweep needs of its store. */
export interface SweepParts {
  readonly wire: Wire
  readonly runner: Runner
  readonly floor: FenceFloor
  readonly pattern: string
}

/** SCANs of one call that may find nothing of ours, in a database that others share. */
const emptyPages = 20

/** Where one process' walk over the keys stands. */
export class RedisSweep {
  readonly #parts: SweepParts
  #primary = 0
  #cursor = '0'
  #found: string[] = []
  #turn: Promise<unknown> = Promise.resolve()

  constructor(parts: SweepParts) {
    this.#parts = parts
  }

  /** The next piece of at most `limit` records; `more` until the walk has seen everything. */
  async next(limit: number, skewMs: number): Promise<SweepReport> {
    // One after the other, so that two calls at once never share a piece.
    const piece = this.#turn.then(() => this.#piece(limit))
    this.#turn = piece.catch(() => {})
    const { keys, more } = await piece
    const report: Counts = { abandoned: 0, expired: 0, purged: 0, released: 0, more }
    const due = await this.#due(keys, skewMs)
    // A purge makes a record absent, and with it the fence it had: the floor is raised before it goes.
    const gone = due.filter(({ step }) => step === 'purged').map(({ record }) => record.fence)
    if (gone.length > 0) await this.#parts.floor.raise(Math.max(...gone))
    const steps = due.map(({ key }) => ({ key, args: [String(skewMs)] }))
    for (const reply of await this.#parts.runner.run(sweep, steps)) {
      const done = textOf(reply) as 'kept' | reducer.SweepStep
      if (done !== 'kept') report[done] += 1
    }
    return report
  }

  /** The records of a piece for which there is something to do, as the reducer sees them now; the script has the last word. */
  async #due(
    keys: readonly string[],
    skewMs: number,
  ): Promise<{ key: string; record: IdempotencyRecord; step: string }[]> {
    if (keys.length === 0) return []
    const nowMs = await this.#parts.floor.nowMs()
    const now = { wallMs: nowMs, leaseMs: nowMs, fenceFloor: 0 }
    const replies = await this.#parts.runner.plain(keys.map((key) => ({ key, command: ['HGET', key, 'g'] })))
    return keys.flatMap((key, at) => {
      const record = readable(replies[at])
      const step = record === undefined ? 'kept' : reducer.sweep(record, skewMs, now).answer
      return record === undefined || step === 'kept' ? [] : [{ key, record, step }]
    })
  }

  async #piece(limit: number): Promise<{ readonly keys: readonly string[]; readonly more: boolean }> {
    let more = true
    for (let pages = 0; more && this.#found.length === 0 && pages < emptyPages; pages++) more = await this.#page(limit)
    const keys = this.#found.splice(0, limit)
    return { keys, more: this.#found.length > 0 || this.#underWay }
  }

  get #underWay(): boolean {
    return this.#primary > 0 || this.#cursor !== '0'
  }

  /** One SCAN; false when it was the last of the walk, which then begins anew. */
  async #page(count: number): Promise<boolean> {
    // What is remembered of the store's highest time keeps fences growing when the server's clock is set back.
    if (!this.#underWay) await this.#parts.floor.raise(0)
    const primaries = await this.#parts.wire.primaries()
    const primary = primaries[this.#primary]
    if (primary === undefined) return this.#over()
    const command = ['SCAN', this.#cursor, 'MATCH', this.#parts.pattern, 'COUNT', String(count)] as const
    const [reply] = await primary.send([command])
    const { cursor, keys } = pageOf(reply)
    this.#found.push(...keys)
    this.#cursor = cursor
    if (cursor !== '0') return true
    this.#primary += 1
    return this.#primary < primaries.length || this.#over()
  }

  #over(): false {
    this.#primary = 0
    this.#cursor = '0'
    return false
  }
}

/** What SCAN answered. */
export function pageOf(reply: Reply): { readonly cursor: string; readonly keys: readonly string[] } {
  if (reply instanceof Error) throw refusal(reply)
  const [cursor, keys] = reply as readonly [Reply, readonly Reply[]]
  return { cursor: textOf(cursor), keys: keys.map(textOf) }
}

/** A record that this version cannot read is left to one that can; it must not end the walk. */
function readable(guards: Reply): IdempotencyRecord | undefined {
  if (!(guards instanceof Uint8Array)) return undefined
  try {
    return decodeRecord(guards).record
  } catch {
    return undefined
  }
}
