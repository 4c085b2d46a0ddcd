/** The door through which recorded steps come into an operation; `steps/` makes them. */

import type { Attempt } from './attempt.ts'
import type { StoreCalls } from './calls.ts'
import type { Clock } from './clock.ts'
import type { Digest } from './digest.ts'
import { IdempotencyError } from './errors.ts'
import type { RecordId } from './key.ts'
import type { OnAbandoned } from './record.ts'
import type { GrantedBy, KeptStep } from './store.ts'

/**
 * What happens to a step whose process died inside it, once the operation runs again: it is executed again; or nobody can
 * tell, and the whole operation is `unknown`; or user code asks whoever did the work first.
 */
export type StepPolicy = Exclude<OnAbandoned, 'resume'>

/** How a step is run; all of it may be left out. */
export interface StepOptions {
  /** A JSON value or bytes. The step under this name with another input throws `step_changed`. */
  readonly input?: unknown
  /**
   * Default `reexecute`. The others cost one durable write more, before the step begins. In an operation under `unknown` a
   * step counts as its effect: `attempt.dispatching()` is awaited first, unless this says `reexecute`.
   */
  readonly policy?: StepPolicy
}

/** What a step is given. */
export interface RunningStep {
  /** The attempt's: fires when the lease is lost, at a cancel and at a shutdown. */
  readonly signal: AbortSignal
  /** Under `reconcile`: a former attempt began this step, so ask the provider before doing anything. */
  readonly recovering: boolean
}

/** The work of a step: its value is JSON, bytes, a `ReadableStream` of bytes, or what the codec takes. */
export type StepExecute<T> = (step: RunningStep) => T | Promise<T>

/** The steps of one attempt. */
export interface Steps {
  step<T>(name: string, execute: StepExecute<T>, options?: StepOptions): Promise<T>
  /**
   * Resolves when no step is running: true when nobody can tell whether one of them had its effect, so that the operation
   * must not run again. Rejects when the store does not tell.
   */
  ended(): Promise<boolean>
}

/** What steps need of their attempt. */
export interface SteppingAttempt {
  readonly recordId: RecordId
  /** Which attempt it is, from 1. */
  readonly number: number
  /** A former attempt has left some. */
  readonly hasFormer: boolean
  readonly by: GrantedBy | 'yours'
  readonly onAbandoned: OnAbandoned
  readonly signal: AbortSignal
  dispatching(): Promise<void>
  /** Rejects (`superseded`, `store_unavailable`) when it could not be recorded. */
  keep(step: KeptStep): Promise<void>
}

/** What steps are made of. */
export interface StepsHome {
  readonly attempt: SteppingAttempt
  readonly calls: StoreCalls
  readonly clock: Clock
  readonly digest: Digest
  readonly pepper: Uint8Array
}

/** Makes the steps of an attempt, when the first is asked for. */
export type StepsOf = (home: StepsHome) => Steps

/** How the attempts of an engine come to their steps; `make` is undefined where it was made without. */
export function stepping(
  make: StepsOf | undefined,
  engine: () => Omit<StepsHome, 'attempt' | 'pepper'> & { readonly pepper: Uint8Array | undefined },
): (attempt: Attempt) => Steps {
  return (attempt) => {
    const { pepper, ...parts } = engine()
    if (make === undefined || pepper === undefined)
      throw new IdempotencyError('config_invalid', 'This engine was made without recorded steps.')
    const { recordId, by, record, policy } = attempt
    const own: SteppingAttempt = {
      recordId,
      by,
      number: record.attempt,
      hasFormer: record.steps,
      onAbandoned: policy.onAbandoned,
      get signal() {
        return attempt.signal
      },
      dispatching: () => attempt.dispatching(),
      keep: (step) => attempt.keep(step),
    }
    return make({ ...parts, pepper, attempt: own })
  }
}
