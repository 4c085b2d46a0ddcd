/** Time and chance as every platform with fetch has them: browsers, workers, Node, Bun, Deno. */
import type { Clock } from '../core/clock.ts'
import type { Random } from '../core/random.ts'

/** The part of a clock that a client reads. */
export type ClientClock = Pick<Clock, 'wallMs' | 'monotonicMs' | 'setTimer'>

/** The platform's clock. */
export const webClock: ClientClock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, fire) {
    const timer = setTimeout(fire, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** The platform's chance (Web Crypto). */
export const webRandom: Random = {
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  fraction: () => Math.random(),
}
