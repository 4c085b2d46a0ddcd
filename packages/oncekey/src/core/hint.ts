/** A pause that a hint of the store may cut short; the poll behind it is what counts. */
import type { Clock, Timer } from './clock.ts'
import type { RecordId } from './key.ts'
import type { Store } from './store.ts'

/** Pauses between looks at one record. Stop it, or the store goes on watching. */
export class Hinted {
  readonly #clock: Clock
  readonly #unwatch: (() => void) | undefined
  #hinted = false
  #wake: (() => void) | undefined

  constructor(store: Store, recordId: RecordId, clock: Clock) {
    this.#clock = clock
    this.#unwatch = store.watch?.(recordId, () => {
      this.#hinted = true
      this.#wake?.()
    })
  }

  /** Resolves after `delayMs`, or as soon as there was a hint since the last pause. */
  async pause(delayMs: number): Promise<void> {
    if (!this.#hinted) {
      await new Promise<void>((resolve) => {
        const timer: Timer = this.#clock.setTimer(delayMs, resolve, true)
        this.#wake = () => {
          timer.cancel()
          resolve()
        }
      })
      this.#wake = undefined
    }
    this.#hinted = false
  }

  stop(): void {
    this.#unwatch?.()
  }
}
