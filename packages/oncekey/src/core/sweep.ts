/** The sweeper: abandoned, expired and purged records, in small pieces; any process may run it, all may. */
import type { StoreCalls } from './calls.ts'
import type { Clock, Timer } from './clock.ts'
import type { Watch } from './instrument.ts'
import { limits } from './policy.ts'
import type { Random } from './random.ts'

/** Sweeps every minute, jittered so that many processes do not sweep at once. */
export class Sweeper {
  readonly #calls: StoreCalls
  readonly #clock: Clock
  readonly #random: Random
  readonly #watch: Watch
  readonly #skewMs: number
  #timer: Timer | undefined
  #stopped = false

  constructor(calls: StoreCalls, clock: Clock, random: Random, skewMs: number, watch: Watch) {
    this.#calls = calls
    this.#clock = clock
    this.#random = random
    this.#watch = watch
    this.#skewMs = skewMs
  }

  start(): void {
    if (this.#stopped) return
    const delayMs = limits.sweepEveryMs * (0.5 + this.#random.fraction())
    this.#timer = this.#clock.setTimer(delayMs, () => void this.sweep().finally(() => this.start()))
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** One round: piece after piece until a short one. A store that fails, or never answers, is tried again next minute. */
  async sweep(): Promise<void> {
    try {
      for (let more = true; more && !this.#stopped; ) {
        const sweeping = this.#calls.store.sweep(limits.sweepEntries, this.#skewMs)
        const report = await this.#calls.within('sweep', sweeping)
        more = report.more
        this.#watch.observer?.({ kind: 'swept', ...report })
      }
    } catch {
      // Heard already, as every failed call.
    }
  }
}
