/** The attempt as user code sees it. */
import type { Attempt, End } from './attempt.ts'
import { IdempotencyError } from './errors.ts'
import type { StepExecute, StepOptions } from './step.ts'

/** What `execute` is given. */
export interface RunningAttempt {
  /** Fires at `lease_lost`, cancel and shutdown. */
  readonly signal: AbortSignal
  /** Grows for ever for one key: hand it to downstream writes, so that a late attempt can be refused there. */
  readonly fence: number
  /** Which attempt this is, from 1. */
  readonly number: number
  /** Under `reconcile`: a former attempt died, ask the provider before doing anything. */
  readonly recovering: boolean
  readonly recordId: string
  /** Resolves when "the effect may have begun" is recorded. Only `unknown` writes it; do not begin if it rejects. */
  dispatching(): Promise<void>
  /**
   * Runs `execute` once per operation: its value is recorded, and every later attempt gets it without running it. Names
   * must be the same in each attempt, and asked for in an order that does not change; steps may run in parallel, but not
   * inside one another. An error is thrown on, and the next attempt runs the step again, unless it is {@link final}.
   * Throws `step_changed` for another input or another name, `step_too_large`, `store_unavailable`, `superseded`.
   */
  step<T>(name: string, execute: StepExecute<T>, options?: StepOptions): Promise<T>
  /**
   * Records the value inside the caller's own transaction (PostgreSQL), so that its rows and the outcome land together or
   * not at all. Call it last in the transaction: until that ends, duplicates wait at the record's row. Return the same
   * value afterwards. Rejects (`superseded`) when another attempt owns the operation: let that roll the transaction back.
   */
  commit(transaction: unknown, value: unknown): Promise<void>
}

/** A granted attempt's view; `endOf` makes the settlement of a value. */
export function runningAttempt(attempt: Attempt, endOf: (value: unknown) => End): RunningAttempt {
  const { record } = attempt
  return {
    get signal() {
      return attempt.signal
    },
    fence: record.fence,
    number: record.attempt,
    recovering: record.recovering,
    recordId: attempt.recordId,
    dispatching: () => attempt.dispatching(),
    step: (name, execute, options) => attempt.steps.step(name, execute, options),
    commit: async (transaction, value) => attempt.commit(transaction, endOf(value)),
  }
}

/** The view of an execution that no record protects (`failOpen`). */
export function unprotectedAttempt(recordId: string): RunningAttempt {
  const { signal } = new AbortController()
  return {
    signal,
    fence: 0,
    number: 1,
    recovering: false,
    recordId,
    dispatching: async () => undefined,
    step: async (_, execute) => execute({ signal, recovering: false }),
    commit: async () => {
      const sentence = 'The idempotency store was away, so nothing can be recorded in this transaction. Roll it back.'
      throw new IdempotencyError('store_unavailable', sentence, { recordId })
    },
  }
}
