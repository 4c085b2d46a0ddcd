/** The embedded store: LMDB in a folder, durable, shared by the processes of one machine. */
import { decodeRecord, encodeRecord } from '../../core/encoding.ts'
import type { RecordId } from '../../core/key.ts'
import type { KeylessAnswer } from '../../core/keyless.ts'
import type { AttemptId, IdempotencyRecord, RecordState } from '../../core/record.ts'
import * as reducer from '../../core/reducer.ts'
import {
  type AppendAnswer,
  type AppendRequest,
  type ClaimAnswer,
  type ClaimRequest,
  inlineBodyBytes,
  type KeylessRequest,
  type ReadAnswer,
  type RenewAnswer,
  type RenewRequest,
  type ResolveRequest,
  type ScanPage,
  type SettleAnswer,
  type Settlement,
  type Store,
  type SweepReport,
} from '../../core/store.ts'
import { bodyFrom, chunksToDrop, joined, putPieces, sameBytes } from './body.ts'
import { type Environment, keys, type OpenOptions, openEnvironment, writeIf } from './environment.ts'
import { keylessIn } from './keyless.ts'
import { LmdbSweep } from './sweep.ts'
import { type HostClock, hostClock, leaseEpoch, onThisClock } from './times.ts'

/** Options of the embedded store. */
export interface LmdbStoreOptions extends OpenOptions {
  /** The machine's clocks; replaced in tests. */
  readonly clock?: HostClock
}

/** Records in the LMDB environment at `path`, a folder that is made if absent. Throws `store_unavailable`. */
export function lmdbStore(path: string, options: LmdbStoreOptions = {}): Store {
  return new LmdbStore(path, options)
}

/** A record as it was read, with the revision that a write must still find. */
export interface Entry {
  readonly record: IdempotencyRecord
  readonly revision: number
  readonly body: Uint8Array | undefined
}

/** An outcome younger than this may have been seen before its own process flushed it. */
const unflushedMs = 1_000
class LmdbStore implements Store {
  readonly capabilities: Store['capabilities']
  readonly #environment: Environment
  readonly #clock: HostClock
  readonly #epoch: string
  readonly #sweep: LmdbSweep

  constructor(path: string, options: LmdbStoreOptions) {
    this.#environment = openEnvironment(path, options)
    this.#clock = options.clock ?? hostClock
    this.#epoch = leaseEpoch(this.#environment, this.#clock)
    this.#sweep = new LmdbSweep(this.#environment)
    this.capabilities = {
      name: 'lmdb',
      clock: 'host',
      durability: options.dangerouslyNoSync ? 'process' : 'disk',
      hints: false,
      multiProcess: true,
      transactional: false,
    }
  }

  async claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    const answers = await this.#steps(requests, (record, ask, now) => reducer.claim(record, ask, now))
    // Losing a claim under `reexecute` means re-execution, which that policy allows; the others come before the effect.
    const durable = answers.some((answer, at) => isGrant(answer) && requests[at]?.onAbandoned !== 'reexecute')
    if (durable || answers.some((answer) => this.#mayBeUnflushed(answer))) await this.#flushed(durable)
    return answers.map((answer, at) => this.#withBody(answer, requests[at]?.recordId))
  }

  renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return this.#steps(requests, (record, ask, now) => reducer.renew(record, ask, now))
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    const answers = await this.#steps(settlements, (record, ask, now) => reducer.settle(record, ask, now))
    const durable = settlements.some(
      ({ kind }, at) => kind !== 'head' && kind !== 'dropped' && answers[at]?.kind !== 'fenced',
    )
    if (durable) await this.#flushed(answers.some(({ kind }) => kind === 'recorded'))
    return answers
  }

  async append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    const answers = await this.#steps(requests, (record, ask) => reducer.append(record, ask))
    return answers.map((answer, at): AppendAnswer => {
      const ask = requests[at]
      if (answer !== 'inside' || ask === undefined) return { kind: answer === 'inside' ? 'refused' : answer }
      const stored = joined(this.#body(ask.recordId, ask.attemptId, ask.offset, ask.bytes.length))
      return { kind: sameBytes(stored.subarray(0, ask.bytes.length), ask.bytes) ? 'already' : 'refused' }
    })
  }

  async read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
    this.#environment.resetReadTxn()
    const now = this.#time()
    return recordIds.map((id) => {
      const record = this.#entry(id, now)?.record
      return { record, nowMs: now.wallMs, leaseLeftMs: record === undefined ? 0 : record.leaseUntil - now.leaseMs }
    })
  }

  async readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    this.#environment.resetReadTxn()
    return this.#body(recordId, attemptId, offset, readBodyBytes)
  }

  async keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
    const answers: KeylessAnswer[] = []
    const recordOf = (id: RecordId, now: reducer.StoreTime): IdempotencyRecord | undefined =>
      this.#entry(id, now)?.record
    for (const ask of requests) answers.push(await keylessIn(this.#environment, ask, () => this.#time(), recordOf))
    return answers
  }

  async resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
    const answers = await this.#steps(requests, (record, ask, now) => reducer.resolve(record, ask, now))
    await this.#flushed(answers.some(({ kind }) => kind === 'recorded'))
    return answers
  }

  async scan(
    cursor: string | undefined,
    filter: { readonly state?: RecordState; readonly limit: number },
  ): Promise<ScanPage> {
    this.#environment.resetReadTxn()
    const entries: { recordId: RecordId; record: IdempotencyRecord }[] = []
    const now = this.#time()
    const start = cursor === undefined ? keys.first('r') : keys.record(cursor as RecordId)
    for (const { key, value } of this.#environment.getRange({ start, end: keys.last('r') })) {
      const recordId = (key as string[])[1] as RecordId
      if (recordId === cursor) continue
      if (entries.length === filter.limit) return { entries, cursor: entries.at(-1)?.recordId }
      const { record, leaseEpoch } = decodeRecord(value)
      if (filter.state !== undefined && record.state !== filter.state) continue
      entries.push({ recordId, record: onThisClock(record, leaseEpoch, this.#epoch, now) })
    }
    return { entries, cursor: undefined }
  }

  async sweep(limit: number, skewMs: number): Promise<SweepReport> {
    this.#environment.resetReadTxn()
    return this.#sweep.next(limit, {
      now: this.#time(),
      judge: (id, now) => {
        const entry = this.#entry(id, now)
        return entry === undefined ? undefined : { entry, reduction: reducer.sweep(entry.record, skewMs, now) }
      },
      write: (id, entry, reduction) => this.#write(id, entry, reduction),
      keeps: (id, attemptId, offset, now) => {
        const record = this.#entry(id, now)?.record
        return record?.attemptId === attemptId && offset < record.bodyLength
      },
    })
  }

  async meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
    const key = keys.meta(name)
    await this.#environment.ifNoExists(key, () => void this.#environment.put(key, Buffer.from(ifAbsent), 1))
    await this.#environment.flushed
    this.#environment.resetReadTxn()
    return this.#environment.get(key) ?? ifAbsent
  }

  async close(): Promise<void> {
    await this.#environment.close()
  }

  /**
   * One atomic step an entry: read, reduce, write if the revision is still the one that was read, else again. All
   * writes of a round are begun in one turn, so that LMDB commits them together. Equal ids act in order: the second
   * waits for the first one's write.
   */
  async #steps<Ask extends { readonly recordId: RecordId }, Answer>(
    asks: readonly Ask[],
    decide: (record: IdempotencyRecord | undefined, ask: Ask, now: reducer.StoreTime) => reducer.Reduction<Answer>,
  ): Promise<Answer[]> {
    const answers: Answer[] = new Array(asks.length)
    let waiting = asks.map((_, at) => at)
    while (waiting.length > 0) {
      this.#environment.resetReadTxn()
      const now = this.#time()
      const writing = new Set<RecordId>()
      const again: number[] = []
      const writes: Promise<unknown>[] = []
      for (const at of waiting) {
        const ask = asks[at] as Ask
        if (writing.has(ask.recordId)) {
          again.push(at)
          continue
        }
        const entry = this.#entry(ask.recordId, now)
        const reduction = decide(entry?.record, ask, now)
        answers[at] = reduction.answer
        if (reduction.record === entry?.record) continue
        writing.add(ask.recordId)
        writes.push(this.#write(ask.recordId, entry, reduction).then((written) => written || again.push(at)))
      }
      if (writes.length > 0) await Promise.all(writes)
      waiting = again.sort((a, b) => a - b)
    }
    return answers
  }

  /** Writes what a reduction says, if the entry has not moved on since it was read. */
  #write(
    id: RecordId,
    entry: Entry | undefined,
    { record, write, drop }: reducer.Reduction<unknown>,
  ): Promise<boolean> {
    const environment = this.#environment
    const key = keys.record(id)
    const stale = drop === undefined || (entry?.record.bodyLength ?? 0) === 0 ? [] : chunksToDrop(environment, id, drop)
    return writeIf(environment, key, entry?.revision, () => {
      for (const chunk of stale) void environment.remove(chunk)
      if (record === undefined) return void environment.remove(key)
      const inline =
        write !== undefined &&
        write.offset === 0 &&
        record.state === 'completed' &&
        write.bytes.length <= inlineBodyBytes
      if (write !== undefined && !inline) putPieces(environment, id, record.attemptId, write.offset, write.bytes)
      const body = inline ? write.bytes : undefined
      const bytes = encodeRecord({ record, leaseEpoch: this.#epoch, body })
      void environment.put(key, Buffer.from(bytes.buffer), (entry?.revision ?? 0) + 1)
    })
  }

  #entry(id: RecordId, now: reducer.StoreTime): Entry | undefined {
    const found = this.#environment.getEntry(keys.record(id))
    if (found === undefined) return undefined
    const { record, leaseEpoch, body } = decodeRecord(found.value)
    return { record: onThisClock(record, leaseEpoch, this.#epoch, now), revision: found.version ?? 0, body }
  }

  #time(): reducer.StoreTime {
    const floor = this.#environment.get(keys.meta('fence-floor'))
    return {
      wallMs: this.#clock.wallMs(),
      leaseMs: this.#clock.monotonicMs(),
      fenceFloor: floor === undefined ? 0 : floor.readDoubleBE(0),
    }
  }

  #withBody(answer: ClaimAnswer, id: RecordId | undefined): ClaimAnswer {
    if (answer.kind !== 'held' || answer.record.state !== 'completed' || id === undefined) return answer
    if (answer.record.bodyLength > inlineBodyBytes) return answer
    return { ...answer, body: joined(this.#body(id, answer.record.attemptId, 0, inlineBodyBytes)) }
  }

  #body(id: RecordId, attemptId: AttemptId, offset: number, most: number): Uint8Array[] {
    return bodyFrom(this.#environment, id, attemptId, offset, most)
  }

  /** Resolves when everything that was committed is on the disk; `wrote` is false when others' commits are meant. */
  async #flushed(wrote: boolean): Promise<void> {
    // A flush of any later commit makes the earlier ones durable, also those of other processes.
    if (!wrote) await this.#environment.put(keys.meta('flush'), Buffer.alloc(1), 1)
    await this.#environment.flushed
  }

  #mayBeUnflushed(answer: ClaimAnswer): boolean {
    if (answer.kind === 'yours') return true
    return (
      answer.kind === 'held' &&
      answer.record.state === 'completed' &&
      answer.nowMs - answer.record.settledAt < unflushedMs
    )
  }
}

/** About the most that one `readBody` answers. */
const readBodyBytes = 1024 * 1024

function isGrant(answer: ClaimAnswer): boolean {
  return answer.kind === 'granted' || answer.kind === 'yours'
}
