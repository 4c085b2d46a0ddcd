/** Sweeping in small pieces: records that are over, chunks that nobody owns, keyless lists that have expired. */
import type { RecordId } from '../../core/key.ts'
import { type KeylessEntry, unexpired } from '../../core/keyless.ts'
import type { AttemptId } from '../../core/record.ts'
import type { Reduction, StoreTime, SweepStep } from '../../core/reducer.ts'
import type { SweepReport } from '../../core/store.ts'
import { type Environment, type Key, keys, writeIf } from './environment.ts'
import type { Entry } from './index.ts'

/** What the sweep asks of its store. */
export interface SweepPort {
  readonly now: StoreTime
  judge(
    id: RecordId,
    now: StoreTime,
  ): { readonly entry: Entry; readonly reduction: Reduction<'kept' | SweepStep> } | undefined
  write(id: RecordId, entry: Entry, reduction: Reduction<unknown>): Promise<boolean>
  /** Is a chunk at this offset part of the record's body? */
  keeps(id: RecordId, attemptId: AttemptId, offset: number, now: StoreTime): boolean
}

type Counts = { -readonly [Step in keyof SweepReport]: SweepReport[Step] }

/** Where one process' walk stands. Each call looks at a bounded number of entries and goes on at the next. */
export class LmdbSweep {
  readonly #environment: Environment
  #kind: 'r' | 'c' | 'k' = 'r'
  #from: Key = keys.first('r')

  constructor(environment: Environment) {
    this.#environment = environment
  }

  /** The next piece; `more` until the walk has seen everything. */
  async next(limit: number, port: SweepPort): Promise<SweepReport> {
    const report: Counts = { abandoned: 0, expired: 0, purged: 0, released: 0, more: true }
    const page = [...this.#environment.getKeys({ start: this.#from, end: keys.last(this.#kind), limit: limit + 1 })]
    const piece = page.slice(0, limit)
    if (this.#kind === 'r') await this.#records(piece, port, report)
    else if (this.#kind === 'c') await this.#chunks(piece, port)
    else await this.#lists(piece, port)
    const next = page[limit]
    if (next !== undefined) this.#from = next
    else report.more = this.#turn()
    return report
  }

  /** On to the next kind; false when the walk begins anew. */
  #turn(): boolean {
    const next = { r: 'c', c: 'k', k: 'r' } as const
    this.#kind = next[this.#kind]
    this.#from = keys.first(this.#kind)
    if (this.#kind !== 'r') return true
    this.#environment.readerCheck()
    return false
  }

  async #records(piece: readonly Key[], port: SweepPort, report: Counts): Promise<void> {
    const steps = piece.flatMap((key) => {
      const id = (key as string[])[1] as RecordId
      const judged = port.judge(id, port.now)
      return judged === undefined || judged.reduction.answer === 'kept' ? [] : [{ id, ...judged }]
    })
    // A purge makes records absent, and with them the fences they had: the floor is on the disk before they go.
    const purged = steps.filter(({ reduction }) => reduction.answer === 'purged').map(({ entry }) => entry.record.fence)
    if (purged.length > 0) await this.#raiseFloor(Math.max(...purged))
    await Promise.all(
      steps.map(async ({ id, entry, reduction }) => {
        const { answer } = reduction
        if ((await port.write(id, entry, reduction)) && answer !== 'kept') report[answer] += 1
      }),
    )
  }

  async #raiseFloor(fence: number): Promise<void> {
    const environment = this.#environment
    const key = keys.meta('fence-floor')
    for (;;) {
      environment.resetReadTxn()
      const found = environment.getEntry(key)
      if (found !== undefined && found.value.readDoubleBE(0) >= fence) return
      const bytes = Buffer.alloc(8)
      bytes.writeDoubleBE(fence)
      const written = await writeIf(
        environment,
        key,
        found?.version,
        () => void environment.put(key, bytes, (found?.version ?? 0) + 1),
      )
      if (written) break
    }
    await environment.flushed
  }

  /** Chunks of attempts that the record no longer has: left by a drop that was too large for its write, or by a crash. */
  async #chunks(piece: readonly Key[], port: SweepPort): Promise<void> {
    const orphans = piece.filter((key) => {
      const [, id, attemptId, offset] = key as [string, RecordId, AttemptId, number]
      return !port.keeps(id, attemptId, offset, port.now)
    })
    await Promise.all(orphans.map((key) => this.#environment.remove(key)))
  }

  async #lists(piece: readonly Key[], port: SweepPort): Promise<void> {
    await Promise.all(
      piece.map(async (key) => {
        const found = this.#environment.getEntry(key)
        if (found === undefined) return
        const list = JSON.parse(found.value.toString()) as KeylessEntry[]
        if (unexpired(list, port.now.wallMs).length > 0) return
        await writeIf(this.#environment, key, found.version, () => void this.#environment.remove(key))
      }),
    )
  }
}
