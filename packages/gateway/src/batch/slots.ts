/** How many lines may run at a time. */

/** Slots that are taken and given back. */
export class Slots {
  readonly #most: number
  #taken = 0
  #waiting: (() => void) | undefined
  #idle: (() => void) | undefined

  constructor(most: number) {
    this.#most = most
  }

  get taken(): number {
    return this.#taken
  }

  /** Resolves when there is a slot. One caller at a time waits. */
  async take(): Promise<void> {
    if (this.#taken >= this.#most) await new Promise<void>((resolve) => (this.#waiting = resolve))
    this.#taken += 1
  }

  free(): void {
    this.#taken -= 1
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
    if (this.#taken === 0) this.#idle?.()
  }

  /** Resolves when no slot is taken. */
  async idle(): Promise<void> {
    if (this.#taken === 0) return
    await new Promise<void>((resolve) => (this.#idle = resolve))
    this.#idle = undefined
  }
}
