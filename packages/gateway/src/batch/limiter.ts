/** Lets lines go as fast as the limits allow: the user's own, those in the provider's headers, and its back-off. */
import type { RawHeaders, systemClock } from 'oncekey/http'
import { type Remaining, saidLimits } from './limits.ts'

/** Time comes in by a door, so that tests move it. */
export type Clock = typeof systemClock

/** The user's own limits; undefined is none. */
export interface OwnLimits {
  readonly requestsPerMinute: number | undefined
  readonly tokensPerMinute: number | undefined
}

/** What one line takes of the limits. */
export interface Cost {
  /** Estimated before the call. */
  readonly tokens: number
}

/** No limit of a provider is waited for longer at a time: afterwards it is asked, and says so itself. */
const longestWaitMs = 10 * 60_000

/** One queue for all lines of a run. */
export class Limiter {
  readonly #clock: Clock
  readonly #requests: Budget
  readonly #tokens: Budget
  #pausedUntilMs = 0
  #running = 0
  /** How many lines may be at the provider at a time: halved by a refusal, widened by what it takes. */
  #window = Number.POSITIVE_INFINITY
  #stopped = false
  #last: Promise<unknown> = Promise.resolve()
  #wake: (() => void) | undefined

  constructor(clock: Clock, own: OwnLimits) {
    this.#clock = clock
    this.#requests = new Budget(clock, own.requestsPerMinute)
    this.#tokens = new Budget(clock, own.tokensPerMinute)
  }

  /** Resolves when the line may go, in the order of asking; false once the run is stopped. */
  take(cost: Cost): Promise<boolean> {
    const turn = this.#last.then(() => this.#wait(cost))
    this.#last = turn
    return turn
  }

  /** The line was answered; `spared` without the provider, so that its share is free again. */
  end(cost: Cost, how: 'taken' | 'refused' | 'spared'): void {
    if (how === 'refused') this.#window = Math.max(1, Math.floor(Math.min(this.#window, this.#running) / 2))
    if (how === 'taken') this.#window += 1 / this.#window
    this.#running -= 1
    if (how === 'spared') {
      this.#requests.charge(-1)
      this.#tokens.charge(-cost.tokens)
    }
    this.#wake?.()
  }

  /** The call took so many tokens, not what was estimated. */
  correct(cost: Cost, tokens: number): void {
    this.#tokens.correct(tokens - cost.tokens)
  }

  /** An answer of the provider: its headers say what is left. */
  heard(headers: RawHeaders): void {
    const said = saidLimits(headers, this.#clock.wallMs())
    this.#requests.said(said.requests)
    this.#tokens.said(said.tokens)
  }

  /** Nobody goes for so long; a hint beyond what is waited for counts as that. */
  pause(ms: number): void {
    const untilMs = this.#clock.monotonicMs() + Math.min(ms, longestWaitMs)
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs)
  }

  /** Everybody who waits, now and later, is told no. */
  stop(): void {
    this.#stopped = true
    this.#wake?.()
  }

  async #wait({ tokens }: Cost): Promise<boolean> {
    while (!this.#stopped) {
      const pauseMs = this.#pausedUntilMs - this.#clock.monotonicMs()
      const waitMs = Math.max(pauseMs, this.#requests.waitMs(1), this.#tokens.waitMs(tokens))
      if (waitMs <= 0 && this.#running < this.#window) {
        this.#running += 1
        this.#requests.charge(1)
        this.#tokens.charge(tokens)
        return true
      }
      await this.#sleep(waitMs > 0 ? waitMs : longestWaitMs)
    }
    return false
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      // A timer that fires a fraction of a millisecond early would make this a busy wait.
      const timer = this.#clock.setTimer(Math.ceil(ms), () => this.#wake?.(), true)
      this.#wake = () => {
        timer.cancel()
        this.#wake = undefined
        resolve()
      }
    })
  }
}

/** One kind of limit: a bucket that the user's rate fills, and what the provider says is left. */
class Budget {
  readonly #clock: Clock
  readonly #perMs: number | undefined
  readonly #most: number
  #level: number
  #atMs: number
  #left = Number.POSITIVE_INFINITY
  #resetAtMs = 0

  constructor(clock: Clock, perMinute: number | undefined) {
    this.#clock = clock
    this.#perMs = perMinute === undefined ? undefined : perMinute / 60_000
    // One second's worth at once: providers hold their minute to shorter spans as well.
    this.#most = Math.max(1, (perMinute ?? 0) / 60)
    this.#level = this.#most
    this.#atMs = clock.monotonicMs()
  }

  /** Until so much may go. What is more than fits goes when the bucket is full, and leaves a debt. */
  waitMs(amount: number): number {
    const now = this.#clock.monotonicMs()
    this.#fill(now)
    const said = this.#left < amount ? this.#resetAtMs - now : 0
    if (this.#perMs === undefined) return said
    return Math.max(said, (Math.min(amount, this.#most) - this.#level) / this.#perMs)
  }

  charge(amount: number): void {
    this.#left -= amount
    this.correct(amount)
  }

  correct(amount: number): void {
    this.#level = Math.min(this.#most, this.#level - amount)
  }

  /** The newest answer counts; an older one that comes late is put right by the next. */
  said(remaining: Remaining | undefined): void {
    if (remaining === undefined) return
    this.#left = remaining.left
    this.#resetAtMs = this.#clock.monotonicMs() + Math.min(remaining.resetMs, longestWaitMs)
  }

  #fill(now: number): void {
    if (this.#perMs !== undefined) this.#level = Math.min(this.#most, this.#level + (now - this.#atMs) * this.#perMs)
    this.#atMs = now
    if (now >= this.#resetAtMs) this.#left = Number.POSITIVE_INFINITY
  }
}
