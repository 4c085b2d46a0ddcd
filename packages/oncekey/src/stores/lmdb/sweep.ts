/** Sweeping in small pieces: records that are over, chunks that nobody owns, keyless lists that have expired. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { getLastVersion } from 'lmdb'
import { IdempotencyError } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'
import { unexpired } from '../../core/keyless.ts'
import * as reducer from '../../core/reducer.ts'
import type { SweepReport } from '../../core/store.ts'
import type { Entry } from './entries.ts'
import { type ChunkKey, type Key, type Kind, keys, putIf, writeIf } from './environment.ts'
import { listOf } from './keyless.ts'
import type { StepPort } from './steps.ts'
import { fenceFloor } from './times.ts'

type Counts = { -readonly [Step in keyof SweepReport]: SweepReport[Step] }

/** Most entries that one commit changes: 64 with 256 KiB each hold the machine-wide write lock for less than 1 ms. */
const commitEntries = 64
/** Chunks are left to the walk over chunks, which comes after the records. */
const noDrops = { left: 0 }
/** The walk goes over one kind after the other. */
const following = { r: 'c', c: 'k', k: 'r' } as const

/** Where one process' walk stands. Each call looks at a bounded number of entries and goes on at the next. */
export class LmdbSweep {
  readonly #port: StepPort
  #kind: Kind = 'r'
  #from: Key = keys.first('r')

  constructor(port: StepPort) {
    this.#port = port
  }

  /** The next piece; `more` until the walk has seen everything. */
  async next(limit: number, skewMs: number): Promise<SweepReport> {
    const report: Counts = { abandoned: 0, expired: 0, purged: 0, released: 0, more: true }
    // A walk that finds nothing to do never waits for a write; without this it would hold up the event loop to its end.
    await nextTurn()
    const { environment } = this.#port
    environment.resetReadTxn()
    const kind = this.#kind
    const page = [...environment.getKeys({ start: this.#from, end: keys.last(kind), limit: limit + 1 })]
    // The place is taken before anything is waited for, so that two calls at once never share a piece.
    const next = page[limit]
    if (next !== undefined) this.#from = next
    else report.more = this.#turn()
    const piece = page.slice(0, limit)
    if (kind === 'r') await this.#records(piece, skewMs, report)
    else if (kind === 'c') await this.#chunks(piece)
    else await this.#lists(piece)
    return report
  }

  /** On to the next kind; false when the walk begins anew. */
  #turn(): boolean {
    this.#kind = following[this.#kind]
    this.#from = keys.first(this.#kind)
    if (this.#kind !== 'r') return true
    this.#port.environment.readerCheck()
    return false
  }

  async #records(piece: readonly Key[], skewMs: number, report: Counts): Promise<void> {
    const now = this.#port.time()
    const changes = piece.flatMap((key) => {
      const id = (key as string[])[1] as RecordId
      const entry = this.#readable(id, now)
      const reduction = entry === undefined ? undefined : reducer.sweep(entry.record, skewMs, now)
      return reduction === undefined || entry === undefined || reduction.answer === 'kept'
        ? []
        : [{ id, entry, reduction, step: reduction.answer }]
    })
    const gone = changes.filter(({ step }) => step === 'purged').map(({ entry }) => entry.record.fence)
    if (gone.length > 0) await this.raiseFloor(Math.max(...gone))
    await inCommits(changes, async ({ id, entry, reduction, step }) => {
      if (await this.#port.entries.write(id, entry, reduction, noDrops)) report[step] += 1
    })
  }

  /** A record that this version cannot read is left to one that can; it must not end the walk. */
  #readable(id: RecordId, now: reducer.StoreTime): Entry | undefined {
    try {
      return this.#port.entries.read(id, now)
    } catch (error) {
      if (error instanceof IdempotencyError) return undefined
      throw error
    }
  }

  /** A purge makes records absent, and with them the fences they had: the floor is on the disk before they go. */
  async raiseFloor(floor: number): Promise<void> {
    const { environment } = this.#port
    const key = keys.meta('fence-floor')
    for (;;) {
      environment.resetReadTxn()
      if (fenceFloor(environment) >= floor) return
      const found = environment.getEntry(key)
      const bytes = Buffer.alloc(8)
      bytes.writeDoubleBE(floor)
      if (await putIf(environment, key, found?.version, bytes, (found?.version ?? 0) + 1)) return
    }
  }

  /** Chunks of attempts that the record no longer has: left by a drop that was too large for its write, or by a sweep. */
  async #chunks(piece: readonly Key[]): Promise<void> {
    const { environment } = this.#port
    const now = this.#port.time()
    const orphans: { key: Key; revision: number }[] = []
    for (const key of piece) {
      if (this.#owned(key as ChunkKey, now) || environment.getBinaryFast(key) === undefined) continue
      orphans.push({ key, revision: getLastVersion() })
    }
    await inCommits(orphans, ({ key, revision }) =>
      writeIf(environment, key, revision, () => void environment.remove(key)),
    )
  }

  #owned([, id, attemptId, offset]: ChunkKey, now: reducer.StoreTime): boolean {
    const key = keys.record(id as RecordId)
    const entry = this.#readable(id as RecordId, now)
    if (entry === undefined) return this.#port.environment.doesExist(key)
    return entry.record.attemptId === attemptId && offset < entry.record.bodyLength
  }

  async #lists(piece: readonly Key[]): Promise<void> {
    const { environment } = this.#port
    const { wallMs } = this.#port.time()
    await inCommits(piece, async (key) => {
      const found = environment.getEntry(key)
      if (found === undefined || unexpired(listOf(found.value), wallMs).length > 0) return
      await writeIf(environment, key, found.version, () => void environment.remove(key))
    })
  }
}

/** Does the writes of a piece in commits of bounded size, so that claims come in between. */
async function inCommits<Item>(items: readonly Item[], write: (item: Item) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += commitEntries) {
    await Promise.all(items.slice(at, at + commitEntries).map(write))
  }
}
