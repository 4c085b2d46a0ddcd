/** One shared promise per record in a process: duplicates wait on the live operation and never touch the store. */

import type { Clock, Timer } from './clock.ts'
import { IdempotencyError } from './errors.ts'
import type { RecordId } from './key.ts'
import type { Caller } from './operation.ts'
import { limits } from './policy.ts'
import type { IdempotencyRecord } from './record.ts'
import type { ClaimAnswer } from './store.ts'
import type { Recording } from './stream.ts'

/** What those who wait for a live operation are told. */
export type LiveNews =
  /** A claim's answer that everybody can judge for himself; `waited` if it took more than one claim. */
  | { readonly kind: 'answer'; readonly answer: ClaimAnswer & { readonly kind: 'held' }; readonly waited: boolean }
  /** The owner in this process ended; `shared` is what it hands to duplicates, `recorded` whether the store has it. */
  | {
      readonly kind: 'ended'
      readonly as: 'completed' | 'released'
      readonly shared: unknown
      readonly recorded: boolean
    }
  /** The owner in this process has a stream that can be joined. */
  | { readonly kind: 'streaming'; readonly recording: Recording }
  /** Whose request this process has begun to execute. */
  | { readonly kind: 'granted'; readonly record: IdempotencyRecord }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Nobody leads any more: claim again. */
  | { readonly kind: 'again' }

/** Why a wait ended without news. */
export type WaitOver = { readonly kind: 'timeout' } | { readonly kind: 'left' }

/** An operation that this process owns or is asking the store about. */
export class Live {
  #granted: IdempotencyRecord | undefined
  recording: Recording | undefined
  waiters = 0
  #news: LiveNews | undefined
  /** Most operations have no duplicate, so the set is made for the first. */
  #listeners: Set<(news: LiveNews) => void> | undefined

  /** The record as the store granted it; undefined while the claim is under way or another process owns it. */
  get granted(): IdempotencyRecord | undefined {
    return this.#granted
  }

  /** This process owns the record now: those who wait with another request have nothing to wait for. */
  grant(record: IdempotencyRecord): void {
    this.#granted = record
    for (const listener of [...(this.#listeners ?? [])]) listener({ kind: 'granted', record })
  }

  /** A stream has begun: those who wait for a head get it, the others go on waiting for the end. */
  stream(recording: Recording): void {
    this.recording = recording
    for (const listener of [...(this.#listeners ?? [])]) listener({ kind: 'streaming', recording })
  }

  /** The last news: everybody hears it. */
  end(news: LiveNews): void {
    this.#news ??= news
    if (this.#listeners === undefined) return
    const listeners = [...this.#listeners]
    this.#listeners = undefined
    for (const listener of listeners) listener(news)
  }

  /** Resolves with the next news that `wants` accepts, at the deadline, or when the caller leaves. */
  next(
    wants: (news: LiveNews) => boolean,
    deadlineMs: number,
    clock: Clock,
    caller?: Caller,
  ): Promise<LiveNews | WaitOver> {
    if (this.#news !== undefined) return Promise.resolve(this.#news)
    if (this.recording !== undefined && this.recording.state !== 'cut') {
      const news = { kind: 'streaming', recording: this.recording } as const
      if (wants(news)) return Promise.resolve(news)
    }
    return new Promise((resolve) => {
      // A caller who has left already is told at once, before there is anything to take back.
      let timer: Timer | undefined
      let stopListening: (() => void) | undefined
      const finish = (news: LiveNews | WaitOver): void => {
        timer?.cancel()
        this.#listeners?.delete(listener)
        stopListening?.()
        resolve(news)
      }
      const listener = (news: LiveNews): void => {
        if (wants(news)) finish(news)
      }
      timer = clock.setTimer(deadlineMs - clock.monotonicMs(), () => finish({ kind: 'timeout' }), true)
      this.#listeners ??= new Set()
      this.#listeners.add(listener)
      stopListening = caller?.onLeave(() => finish({ kind: 'left' }))
    })
  }
}

/** All live operations of a process, with the caps on who may wait. */
export class Lives {
  readonly #lives = new Map<RecordId, Live>()
  #waiting = 0

  get(recordId: RecordId): Live | undefined {
    return this.#lives.get(recordId)
  }

  open(recordId: RecordId): Live {
    const live = new Live()
    this.#lives.set(recordId, live)
    return live
  }

  close(recordId: RecordId, live: Live, news: LiveNews): void {
    if (this.#lives.get(recordId) === live) this.#lives.delete(recordId)
    live.end(news)
  }

  /** Requests that wait for an execution, of this process or of another one. */
  get waiting(): number {
    return this.#waiting
  }

  /** Counts a waiter for as long as `wait` takes. */
  async admit<T>(live: Live, wait: () => Promise<T>): Promise<T> {
    if (live.waiters >= limits.waitersPerRecord || this.#waiting >= limits.waitersPerProcess) {
      const sentence = 'Too many requests are already waiting for running originals. Try again later.'
      throw new IdempotencyError('too_many_waiting', sentence, { retryAfterMs: 1000 })
    }
    live.waiters += 1
    this.#waiting += 1
    try {
      return await wait()
    } finally {
      live.waiters -= 1
      this.#waiting -= 1
    }
  }
}
