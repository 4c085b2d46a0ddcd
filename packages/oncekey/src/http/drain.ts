/** An execution whose caller hung up: it is read on for the retry, or stopped when nobody is left. */
import type { Clock, Timer } from '../core/clock.ts'

/** What decides how long an execution goes on for nobody. */
export interface DrainParts {
  readonly clock: Clock
  readonly onDisconnect: 'drain' | 'abort'
  /** How long an execution goes on for nobody, ms. */
  readonly drainMs: number
  /** Is somebody in this process reading or waiting? */
  readonly attended: () => boolean
  /** Has somebody come elsewhere? Asked only when the time is over. */
  readonly wanted: () => Promise<boolean>
  readonly stop: () => void
}

/**
 * How long an execution goes on for a declared retry without a key, which comes at once or not at all, and for all others,
 * which may be waited for in a process that cannot say so (http.md, Disconnect; ADR 0027).
 */
export const drainMs: { readonly retries: number; readonly others: number } = { retries: 30_000, others: 30 * 60_000 }

/** How often an execution that is to stop looks whether its last follower has gone. */
const lookEveryMs = 250

/** Watches one execution from the moment its caller has gone. */
export class Drain {
  readonly #parts: DrainParts
  #timer: Timer | undefined
  #over = false

  constructor(parts: DrainParts) {
    this.#parts = parts
  }

  /** The caller hung up. */
  callerLeft(): void {
    if (this.#parts.onDisconnect === 'abort') void this.#look()
    else this.#watch(this.#parts.drainMs)
  }

  /** The execution has ended by itself. */
  end(): void {
    this.#over = true
    this.#timer?.cancel()
  }

  #watch(delayMs: number): void {
    this.#timer = this.#parts.clock.setTimer(delayMs, () => void this.#look(), true)
  }

  async #look(): Promise<void> {
    const { attended, wanted, onDisconnect, drainMs, stop } = this.#parts
    const drains = onDisconnect === 'drain'
    const stays = attended() || (drains && (await wanted()))
    if (this.#over) return
    if (stays) this.#watch(drains ? drainMs : lookEveryMs)
    else stop()
  }
}
