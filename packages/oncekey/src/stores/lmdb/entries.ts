/** Records in LMDB: read with their revision, written only if nobody came in between. */
import { getLastVersion } from 'lmdb'
import { decodeRecord, encodeRecord } from '../../core/encoding.ts'
import type { RecordId } from '../../core/key.ts'
import type { AttemptId, IdempotencyRecord } from '../../core/record.ts'
import type * as reducer from '../../core/reducer.ts'
import { inlineBodyBytes, type KeptStep, type Piece } from '../../core/store.ts'
import { type Environment, firstRevision, type Key, keys, putIf, writeIf } from './environment.ts'
import { Slab } from './slab.ts'
import { onThisClock } from './times.ts'

/** A record as it was read, with the revision that a write must still find. */
export interface Entry {
  readonly record: IdempotencyRecord
  readonly revision: number
  /** The inline body, where it was asked for. */
  readonly body: Uint8Array | undefined
}

/** How many chunks the writes of one round may still delete; the sweeper removes the rest, which nobody can read. */
export interface DropBudget {
  left: number
}

/** The records of one environment. Reads are of the present snapshot; the caller says when it begins anew. */
export class Entries {
  readonly #environment: Environment
  readonly #epoch: string
  readonly #slab = new Slab()

  constructor(environment: Environment, epoch: string) {
    this.#environment = environment
    this.#epoch = epoch
  }

  /** The record, with its inline body if wanted. Throws `store_unavailable` for what this version cannot read. */
  read(id: RecordId, now: reducer.StoreTime, want: 'record' | 'body' = 'record'): Entry | undefined {
    // The driver's own buffer, good until the next read: what is kept of it is copied.
    const shared = this.#environment.getBinaryFast(keys.record(id))
    if (shared === undefined) return undefined
    const revision = getLastVersion()
    const { record, leaseEpoch, body } = decodeRecord(shared.subarray(0, shared.length), false)
    return {
      record: onThisClock(record, leaseEpoch, this.#epoch, now),
      revision,
      body: body === undefined || want === 'record' ? undefined : new Uint8Array(body),
    }
  }

  /** Writes what a reduction says, if the entry has not moved on since it was read; false if it has. */
  write(
    id: RecordId,
    entry: Entry | undefined,
    reduction: reducer.Reduction<unknown>,
    budget: DropBudget,
  ): Promise<boolean> {
    const environment = this.#environment
    const key = keys.record(id)
    const { record, write, drop, step, dropSteps } = reduction
    const stale = this.#staleChunks(id, entry, drop, budget)
    if (dropSteps) stale.push(...this.#staleSteps(id))
    if (record === undefined) {
      return writeIf(environment, key, entry?.revision, () => {
        for (const chunk of stale) void environment.remove(chunk)
        void environment.remove(key)
      })
    }
    // No transition keeps an inline body: what is completed only expires or starts over.
    const inline = isInline(record, write)
    const revision = entry === undefined ? firstRevision() : entry.revision + 1
    const body = inline ? write?.bytes : undefined
    const bytes = encodeRecord({ record, leaseEpoch: this.#epoch, body }, this.#slab.take)
    if (stale.length === 0 && step === undefined && (inline || write === undefined)) {
      return putIf(environment, key, entry?.revision, bytes, revision)
    }
    return writeIf(environment, key, entry?.revision, () => {
      for (const chunk of stale) void environment.remove(chunk)
      if (write !== undefined && !inline) this.#putPieces(id, record.attemptId, write, revision)
      if (step !== undefined) this.#putStep(id, step, revision)
      void environment.put(key, bytes, revision)
    })
  }

  #putStep(id: RecordId, { name, value }: KeptStep, revision: number): void {
    void this.#environment.put(keys.step(id, name), bufferOf(value), revision)
  }

  #putPieces(id: RecordId, attemptId: AttemptId, { offset, bytes }: Piece, revision: number): void {
    for (let at = 0; at < bytes.length; at += inlineBodyBytes) {
      const value = bufferOf(bytes.subarray(at, at + inlineBodyBytes))
      void this.#environment.put(keys.chunk(id, attemptId, offset + at), value, revision)
    }
  }

  /** The chunks to delete with a write; none when there are so many that the write would hold up the others. */
  #staleChunks(id: RecordId, entry: Entry | undefined, drop: AttemptId | undefined, budget: DropBudget): Key[] {
    if (drop === undefined || entry === undefined || entry.record.bodyLength === 0 || budget.left === 0) return []
    return this.#within(keys.chunk(id, drop, 0), keys.chunk(id, drop, Number.POSITIVE_INFINITY), budget)
  }

  /** All of them, for what were left would be there again with the first step of a record that starts over. */
  #staleSteps(id: RecordId): Key[] {
    return [...this.#environment.getKeys({ start: keys.step(id, ''), end: keys.step(id, '\uffff') })]
  }

  #within(start: Key, end: Key, budget: DropBudget): Key[] {
    const found = [...this.#environment.getKeys({ start, end, limit: budget.left + 1 })]
    if (found.length > budget.left) return []
    budget.left -= found.length
    return found
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function isInline(record: IdempotencyRecord, write: Piece | undefined): boolean {
  return write?.offset === 0 && record.state === 'completed' && write.bytes.length <= inlineBodyBytes
}
