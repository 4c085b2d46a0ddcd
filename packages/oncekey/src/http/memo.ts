/** A bounded memory of a pure function's results: what was asked for last is answered without working it out again. */

/** Remembers up to `most` results; the oldest goes first. */
export class Memo<Result> {
  readonly #results = new Map<string, Result>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  /** The result for this key, worked out only if it is not remembered. What throws is not remembered. */
  get(key: string, work: () => Result): Result {
    const known = this.#results.get(key)
    if (known !== undefined) return known
    const result = work()
    if (this.#results.size >= this.#most) {
      const [oldest] = this.#results.keys()
      if (oldest !== undefined) this.#results.delete(oldest)
    }
    this.#results.set(key, result)
    return result
  }
}
