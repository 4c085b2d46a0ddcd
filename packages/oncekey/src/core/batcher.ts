/** Group commit: calls of one moment, or made while a batch is in flight, become one store call. */
import type { Clock } from './clock.ts'
import { IdempotencyError } from './errors.ts'
import { limits } from './policy.ts'

interface Pending<Item, Answer> {
  readonly item: Item
  /** When it began to wait, monotonic ms. */
  readonly sinceMs: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

/**
 * Gathers single items into calls of at most `limits.batchEntries`, `limits.batchesInFlight` of them at a time; a store
 * that names a number of its own gets what waits shared out among so many, so that it works on one while the next is
 * made. A call waits for the turn's end, so that requests which came in together go together and are answered in one go: with a call
 * a request a replay took 56 µs of the gateway's processor time, with that 43 µs, most of it for waking the callers.
 */
export class Batcher<Item, Answer> {
  readonly #call: (items: readonly Item[]) => Promise<readonly Answer[]>
  readonly #clock: Clock
  readonly #slots: number
  readonly #shares: boolean
  readonly #late: ((error: Error) => void) | undefined
  #queue: Pending<Item, Answer>[] = []
  #scheduled = false
  #inFlight = 0

  /** `late` hears of a call that took too long, which may never be answered. */
  constructor(
    call: (items: readonly Item[]) => Promise<readonly Answer[]>,
    clock: Clock,
    shared?: number,
    late?: (error: Error) => void,
  ) {
    this.#call = call
    this.#clock = clock
    this.#slots = shared ?? limits.batchesInFlight
    this.#shares = shared !== undefined
    this.#late = late
  }

  /** The answer for one item; rejects when its call failed or took longer than `limits.storeTimeoutMs`. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length >= limits.queuedCalls) return reject(new Error('too many calls wait for the store'))
      this.#queue.push({ item, sinceMs: this.#clock.monotonicMs(), resolve, reject })
      if (this.#scheduled || this.#inFlight >= this.#slots) return
      this.#scheduled = true
      this.#clock.nextTurn(() => this.#flush())
    })
  }

  #flush(): void {
    this.#scheduled = false
    this.#dropLate()
    for (let free = this.#slots - this.#inFlight; free > 0 && this.#queue.length > 0; free--) {
      const share = this.#shares ? Math.max(limits.leastShare, Math.ceil(this.#queue.length / free)) : Infinity
      this.#send(this.#queue.splice(0, Math.min(share, limits.batchEntries)))
      if (!this.#shares) return
    }
  }

  #send(batch: readonly Pending<Item, Answer>[]): void {
    this.#inFlight += 1
    // A call that never answers must not hold up those behind it, so the time-out also frees the slot.
    let open = true
    const done = (settle: () => void): void => {
      if (!open) return
      open = false
      timer.cancel()
      settle()
      this.#inFlight -= 1
      if (!this.#scheduled) this.#flush()
    }
    const fail = (error: unknown): void => {
      // One record that cannot be read fails the call of all: asked one by one, the others get their answers. Every
      // call may be made twice, for the guards compare attempts.
      const apart = batch.length > 1 && error instanceof IdempotencyError && error.details.apart === true
      done(() => {
        for (const pending of batch) {
          if (apart) this.#retryAlone(pending)
          else pending.reject(error)
        }
      })
    }
    const timer = this.#clock.setTimer(
      limits.storeTimeoutMs,
      () => {
        const error = new Error(`the store did not answer within ${limits.storeTimeoutMs} ms`)
        this.#late?.(error)
        fail(error)
      },
      true,
    )
    const answered = (answers: readonly Answer[]): void => {
      done(() => {
        for (const [index, pending] of batch.entries()) {
          const answer = answers[index]
          if (answer === undefined) pending.reject(new Error('the store answered too few entries'))
          else pending.resolve(answer)
        }
      })
    }
    try {
      this.#call(batch.map((pending) => pending.item)).then(answered, fail)
    } catch (error) {
      fail(error)
    }
  }

  /** Behind a store that hangs calls would wait for ever: the slots are freed only as fast as calls time out. */
  #dropLate(): void {
    const lateMs = this.#clock.monotonicMs() - limits.storeTimeoutMs
    const first = this.#queue.findIndex(({ sinceMs }) => sinceMs > lateMs)
    const late = first < 0 ? this.#queue.splice(0) : this.#queue.splice(0, first)
    for (const { reject } of late) reject(new Error(`the store took no call for ${limits.storeTimeoutMs} ms`))
  }

  #retryAlone(pending: Pending<Item, Answer>): void {
    new Batcher(this.#call, this.#clock).add(pending.item).then(pending.resolve, pending.reject)
  }
}
