/** What an attempt that cannot go on is told. */
import { IdempotencyError } from './errors.ts'
import type { RecordId } from './key.ts'
import type { LostReason } from './lease.ts'
import { limits } from './policy.ts'

/** The error of an attempt that must stop. */
export function lostError(reason: LostReason, recordId: RecordId): IdempotencyError {
  const sentences = {
    lease_lost: 'The lease could not be renewed in time; another attempt may own the operation now.',
    superseded: 'Another attempt owns the operation now; this one can no longer record anything.',
    cancelled: 'The operation was ended by an operator.',
    shutdown: 'The engine is closing.',
  }
  return new IdempotencyError('superseded', sentences[reason], { recordId })
}

/** The error of a commit whose transaction was rolled back, or not yet committed. */
export function rolledBack(recordId: RecordId): IdempotencyError {
  const sentence =
    'attempt.commit was called, but its transaction has not committed. Return from the function after the commit, and let ' +
    "a transaction's error out of it: the next call executes again."
  return new IdempotencyError('not_committed', sentence, { recordId })
}

/** The error of a store that did not answer inside the budget. */
export function unavailable(consequence: string, cause?: unknown): IdempotencyError {
  const sentence = `The idempotency store did not answer within ${limits.storeBudgetMs / 1000} s. ${consequence} Try again with the same key.`
  return new IdempotencyError('store_unavailable', sentence, { retryAfterMs: 1000, cause })
}
