/** Stops asking an upstream that cannot be reached: nobody waits for a connection that will not come. */

/** Fewer failures in a row than this are bad luck. */
const failuresToOpen = 5
/** All calls of one moment fail together; only when nothing else has come for this long is it more than a moment. */
const failingMs = 1_000
/** From one probe to the next, doubled each time up to the longest. */
const pauseMs = { first: 1_000, longest: 30_000 }

/** What others want to know of a circuit. */
export type CircuitEvent =
  | { readonly kind: 'opened'; readonly retryAfterMs: number; readonly cause: unknown }
  | { readonly kind: 'closed' }

/** What a call has to wait, ms; 0: it may go, and says how connecting went. */
type Wait = number

/**
 * Closed: calls go. Open: they are refused until the pause is over; then one of them is the probe, and all others are
 * refused until its connection is there (closed) or is not (open again, for longer).
 *
 * Only connecting counts. Once bytes may have been sent a failure says nothing about the next call, and an answer of any
 * status, 5xx among them, is the provider's word, which belongs to the caller.
 */
export class Circuit {
  readonly #monotonicMs: () => number
  readonly #heard: (event: CircuitEvent) => void
  #failures = 0
  /** When the first of the failing calls began. */
  #failingSince = 0
  #pauseMs = 0
  #openUntil = 0
  #probing = false

  constructor(monotonicMs: () => number, heard: (event: CircuitEvent) => void) {
    this.#monotonicMs = monotonicMs
    this.#heard = heard
  }

  get open(): boolean {
    return this.#pauseMs > 0
  }

  /** Asks to make a call. One that may go reports back by `connected`, `failed` or `withdrawn`, once. */
  ask(): Wait {
    if (!this.open) return 0
    const left = this.#openUntil - this.#monotonicMs()
    if (left > 0) return left
    if (this.#probing) return pauseMs.first
    this.#probing = true
    return 0
  }

  connected(): void {
    const wasOpen = this.open
    this.#failures = 0
    this.#pauseMs = 0
    this.#probing = false
    if (wasOpen) this.#heard({ kind: 'closed' })
  }

  /** `startedMs`, of the monotonic clock, is when the call began. */
  failed(startedMs: number, cause: unknown): void {
    const now = this.#monotonicMs()
    if (this.open) {
      // Calls from before it opened fail late, and are no news.
      if (startedMs < this.#openUntil) return
      this.#pause(Math.min(this.#pauseMs * 2, pauseMs.longest), now, cause)
      return
    }
    if (this.#failures === 0) this.#failingSince = startedMs
    this.#failures += 1
    if (this.#failures >= failuresToOpen && now - this.#failingSince >= failingMs)
      this.#pause(pauseMs.first, now, cause)
  }

  /** The call ended before it could tell: the next one is the probe. */
  withdrawn(startedMs: number): void {
    if (startedMs >= this.#openUntil) this.#probing = false
  }

  #pause(ms: number, now: number, cause: unknown): void {
    this.#probing = false
    this.#pauseMs = ms
    this.#openUntil = now + ms
    this.#heard({ kind: 'opened', retryAfterMs: ms, cause })
  }
}
