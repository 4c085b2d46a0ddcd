/** The fence floor: what keeps fences growing where the record that had the last one is gone. */
import { textOf } from './answers.ts'
import type { Runner } from './run.ts'
import { floor, value } from './values.lua.ts'

/**
 * One number of the store, in its own slot, so no claim's script may read it: each process remembers it and hands it to
 * its claims. It is raised to the highest time and the highest purged fence that any sweep has seen. As fences are µs of
 * the server's clock, it only matters when that clock is set back.
 */
export class FenceFloor {
  readonly #runner: Runner
  readonly #key: string
  /** As far as this process knows. */
  known = '0'

  constructor(runner: Runner, key: string) {
    this.#runner = runner
    this.#key = key
  }

  /**
   * Raises it to the store's time, or to `fence` where that is more, and learns what others have raised it to. A fence is
   * one that a purge is about to forget, so it must last; the time alone is told again by the next sweep.
   */
  async raise(fence: number): Promise<void> {
    const [reply] = await this.#runner.run(floor, [{ key: this.#key, args: [fence.toFixed(0)] }], fence > 0)
    const held = textOf(reply)
    if (Number(held) > Number(this.known)) this.known = held
  }

  /** The store's time. */
  async nowMs(): Promise<number> {
    const [reply] = await this.#runner.run(value, [{ key: this.#key, args: [] }])
    return (reply as readonly [number])[0]
  }
}
