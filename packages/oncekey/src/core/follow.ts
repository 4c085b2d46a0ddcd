/** Reads a body from the store, live or recorded: a follower in another process, and the replay of a large outcome. */

import { isUndecipherable } from './blob.ts'
import type { StoreCalls } from './calls.ts'
import type { Clock } from './clock.ts'
import type { IdempotencyError } from './errors.ts'
import { Hinted } from './hint.ts'
import type { RecordId } from './key.ts'
import { limits } from './policy.ts'
import type { StreamReader } from './reader.ts'
import type { IdempotencyRecord } from './record.ts'

/** What a follower needs. */
export interface FollowParts {
  readonly calls: StoreCalls
  readonly clock: Clock
  readonly recordId: RecordId
  /** The record of the attempt that is followed: its bytes and no other attempt's. */
  readonly record: IdempotencyRecord
  readonly skewMs: number
  readonly from?: number
}

/** Bytes that may wait for a slow reader before the store is left alone. */
const aheadBytes = limits.windowBytes

/** Follows one attempt. Ends cleanly only at the sealed length of its completed record; else it is cut. */
export class Follower implements StreamReader {
  wake: (() => void) | undefined
  offset: number
  state: 'open' | 'ended' | 'cut' = 'open'
  /** The head that the outcome was sealed with, once it is. */
  sealedHead: Uint8Array | undefined
  refusal: IdempotencyError | undefined
  readonly #parts: FollowParts
  readonly #queue: Uint8Array[] = []
  #fetched: number
  #sealedAt: number | undefined
  #polling = false
  #closed = false

  constructor(parts: FollowParts) {
    this.#parts = parts
    this.offset = parts.from ?? 0
    this.#fetched = this.offset
    void this.#poll()
  }

  read(): Uint8Array | undefined {
    const bytes = this.#queue.shift()
    if (bytes !== undefined) this.offset += bytes.length
    if (this.#sealedAt !== undefined && this.offset >= this.#sealedAt && this.state === 'open') this.state = 'ended'
    if (this.state === 'open') void this.#poll()
    return bytes
  }

  close(): void {
    this.#closed = true
    this.wake = undefined
  }

  get #wanted(): boolean {
    return (
      !this.#closed &&
      this.state === 'open' &&
      this.#fetched !== this.#sealedAt &&
      this.#fetched - this.offset < aheadBytes
    )
  }

  async #poll(): Promise<void> {
    if (this.#polling) return
    this.#polling = true
    const { calls, clock, recordId } = this.#parts
    const hinted = new Hinted(calls.store, recordId, clock)
    let pauseMs: number = limits.pollFirstMs
    let failedSinceMs: number | undefined
    while (this.#wanted) {
      try {
        const before = this.#fetched
        await this.#advance()
        failedSinceMs = undefined
        pauseMs =
          this.#fetched > before ? limits.pollFirstMs : Math.min(pauseMs * limits.pollGrowth, limits.followCapMs)
      } catch (error) {
        if (isUndecipherable(error)) {
          this.refusal = error
          this.#cut()
          break
        }
        failedSinceMs ??= clock.monotonicMs()
        if (clock.monotonicMs() - failedSinceMs > limits.storeBudgetMs) this.#cut()
      }
      if (this.#wanted && (this.#sealedAt === undefined || failedSinceMs !== undefined)) await hinted.pause(pauseMs)
    }
    hinted.stop()
    this.#polling = false
  }

  /** One look at the record and one piece of body. */
  async #advance(): Promise<void> {
    const { calls, recordId, record, skewMs } = this.#parts
    const now = await calls.read(recordId)
    if (now.record?.attemptId !== record.attemptId || now.record.dropped) return this.#cut()
    const { state, bodyLength, outcome } = now.record
    if (state === 'running' ? now.leaseLeftMs + skewMs < 0 : state !== 'completed' || outcome === 'omitted')
      return this.#cut()
    if (bodyLength > this.#fetched) {
      const pieces = await calls.readBody(recordId, record.attemptId, this.#fetched)
      if (pieces.length === 0 && state === 'completed') return this.#cut()
      for (const piece of pieces) {
        this.#queue.push(piece)
        this.#fetched += piece.length
      }
    }
    if (state === 'completed') {
      this.#sealedAt = bodyLength
      this.sealedHead = now.record.head
    }
    if (this.#sealedAt === this.offset) this.state = 'ended'
    if (this.#queue.length > 0 || this.state === 'ended') this.wake?.()
  }

  #cut(): void {
    this.state = 'cut'
    this.#queue.length = 0
    this.wake?.()
  }
}
