/** Named, recorded steps inside an operation. They come with the first one: an engine without does not carry their code. */
import { IdempotencyError } from '../core/errors.ts'
import type { Classify } from '../core/outcome.ts'
import { limits } from '../core/policy.ts'
import type { Steps, StepsHome, StepsOf } from '../core/step.ts'
import type { Codec } from '../core/value.ts'

/** What holds for the steps of an engine. */
export interface StepsOptions {
  readonly codec?: Codec
  readonly classify?: Classify
  /** Most bytes that the steps of one operation make together. Default 1 MiB, at most 16 MiB. */
  readonly maxStepBytes?: number
}

/** Once it is there, the next attempt need not wait for it. */
let make: ((home: StepsHome, options: StepsOptions, mostBytes: number) => Steps) | undefined

/** The steps of an engine's attempts. Throws `config_invalid`. */
export function stepsWhenAsked(options: StepsOptions = {}): StepsOf {
  const { maxStepBytes = limits.stepBytes } = options
  if (!(maxStepBytes > 0 && maxStepBytes <= limits.mostStepBytes))
    throw new IdempotencyError('config_invalid', `maxStepBytes must be 1 to ${limits.mostStepBytes}.`)
  return (home) => {
    if (make !== undefined) return make(home, options, maxStepBytes)
    // Asked for in order, answered in order: all wait for the same promise.
    const coming = import('./steps.ts').then(({ recordedSteps }) => {
      make = recordedSteps
      return recordedSteps(home, options, maxStepBytes)
    })
    // Who asks for a step hears of it.
    coming.catch(() => undefined)
    return {
      step: async (name, execute, given) => (await coming).step(name, execute, given),
      ended: async () => (await coming).ended(),
    }
  }
}
