/** `createIdempotency`, wired to Node's clock, chance and hashing. */
import type { Clock } from '../core/clock.ts'
import type { Observable } from '../core/instrument.ts'
import type { Random } from '../core/random.ts'
import { Idempotency, type IdempotencyOptions } from '../core/run.ts'
import { stepsWhenAsked } from '../steps/index.ts'
import { nodeDigest, systemClock, systemRandom } from './node.ts'

/** The engine's options; `clock` and `random` replace the system's in tests. */
export interface CreateOptions extends IdempotencyOptions {
  readonly clock?: Clock
  readonly random?: Random
  /** Told of the engine once it is made: `observe` of `oncekey/otel`. */
  observe?(idempotency: Observable): void
  /** Most bytes that the steps of one operation make together. Default 1 MiB, at most 16 MiB. */
  readonly maxStepBytes?: number
}

/** An engine over a store. Throws IdempotencyError (`config_invalid`) for options that cannot be right. */
export function createIdempotency(options: CreateOptions): Idempotency {
  const idempotency = new Idempotency(options, {
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    digest: nodeDigest,
    steps: stepsWhenAsked(options),
  })
  options.observe?.(idempotency)
  return idempotency
}
