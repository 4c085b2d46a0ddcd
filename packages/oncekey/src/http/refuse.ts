/** Answers of the layer itself: problem documents, and a cut where an answer has begun. */
import { IdempotencyError } from '../core/errors.ts'
import type { RecordId } from '../core/key.ts'
import type { HttpCaller } from './caller.ts'
import { problem } from './problem.ts'
import { type Echo, ownFields, sendWhole } from './respond.ts'

/** Answers with the problem document of an error; a caller who has bytes already is cut. */
export function refuse(
  caller: HttpCaller,
  error: IdempotencyError,
  request: { readonly path: string },
  echo: Echo,
): void {
  if (caller.hasLeft) return
  if (caller.started) return caller.cut()
  const { status, headers, body } = problem(error, { requestPath: request.path })
  const own = ownFields('refused', echo).slice(2)
  sendWhole(caller, { status, headers, body }, own)
}

/** The same error, with the record it is about. */
export function withRecord(error: IdempotencyError, id: RecordId): IdempotencyError {
  return new IdempotencyError(error.code, error.message, { ...error.details, retryable: error.retryable, recordId: id })
}

/** A record says that it has a body, and the store has lost it, again and again. */
export function unreadBack(id: RecordId): IdempotencyError {
  const sentence = 'The recorded answer could not be read back. Try again with the same key.'
  return new IdempotencyError('store_unavailable', sentence, { recordId: id })
}

/** What the caller is told of an error. `failed` hears of one that nobody foresaw. */
export function refusalOf(cause: unknown, failed: (error: unknown) => void): IdempotencyError {
  if (cause instanceof IdempotencyError) return cause
  failed(cause)
  return new IdempotencyError(
    'internal',
    'Oncekey failed on this request; the log has the reason. Try again with the same key.',
    { cause },
  )
}
