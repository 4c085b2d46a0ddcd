/** The catalogue of everything Oncekey can refuse or fail with, and the one error class that carries it. */

/**
 * Every code with its HTTP status, and whether the same request, unchanged, may succeed later (`x-should-retry`);
 * `docs/reference/errors.md` lists the same, and a test compares both ways.
 */
export const errorCatalogue = {
  key_missing: { status: 400, title: 'An idempotency key is required', retryable: false },
  key_malformed: { status: 400, title: 'The idempotency key is malformed', retryable: false },
  key_ambiguous: { status: 400, title: 'The request names more than one idempotency key', retryable: false },
  tenant_required: { status: 400, title: 'The request has no tenant', retryable: false },
  unknown_upstream: { status: 404, title: 'No upstream has this name', retryable: false },
  in_progress: { status: 409, title: 'The original request is still running', retryable: true },
  outcome_unknown: { status: 409, title: 'The outcome of the original request is unknown', retryable: false },
  outcome_not_replayable: { status: 409, title: 'The outcome cannot be replayed', retryable: false },
  superseded: { status: 409, title: 'A newer attempt owns the record', retryable: false },
  outcome_expired: { status: 410, title: 'The outcome has expired', retryable: false },
  body_too_large: { status: 413, title: 'The request body is too large', retryable: false },
  body_malformed: { status: 400, title: 'The request body cannot be read', retryable: false },
  fingerprint_mismatch: { status: 422, title: 'The key was used for another request', retryable: false },
  too_many_waiting: { status: 429, title: 'Too many requests are waiting', retryable: true },
  quota_exceeded: { status: 429, title: 'The tenant has what it may have', retryable: true },
  spool_failed: { status: 503, title: 'The upload could not be kept while it came in', retryable: true },
  upstream_unreachable: { status: 502, title: 'The upstream cannot be reached', retryable: true },
  upstream_timeout: { status: 504, title: 'The upstream did not answer in time', retryable: true },
  handler_failed: { status: 500, title: 'The handler failed before it had answered', retryable: true },
  store_unavailable: { status: 503, title: 'The idempotency store is unavailable', retryable: true },
  not_committed: { status: 500, title: 'The transaction of the outcome has not committed', retryable: true },
  step_changed: { status: 500, title: 'A step is not the one that was recorded', retryable: false },
  step_too_large: { status: 500, title: 'What the steps have made is too large', retryable: false },
  shutting_down: { status: 503, title: 'The server is shutting down', retryable: true },
  config_invalid: { status: 500, title: 'The configuration cannot be right', retryable: false },
  internal: { status: 500, title: 'Oncekey failed', retryable: false },
} as const

/** A code of the catalogue. */
export type ErrorCode = keyof typeof errorCatalogue

/** What an error may carry beyond its code and sentence. */
export interface ErrorDetails {
  readonly cause?: unknown
  /** Overrides the catalogue where one code covers both (an upstream failure that may have run). */
  readonly retryable?: boolean
  /** When trying again makes sense, ms from now. */
  readonly retryAfterMs?: number
  readonly recordId?: string
  /** `superseded` only: what this attempt made, and what is recorded instead. */
  readonly own?: unknown
  readonly recorded?: unknown
  /** Upstream failures: may the operation have run? */
  readonly mayHaveRun?: boolean
  /** A store's call failed because of one of its entries: asked one by one, the others may be answered. */
  readonly apart?: boolean
  /** `outcome_not_replayable`: the id of the encryption key that this process does not have. */
  readonly missingKey?: string
  /** `outcome_unknown`: a new key might run the operation a second time. */
  readonly safeToUseNewKey?: boolean
}

/** The only error Oncekey throws on purpose: the message says what happened and what to do. */
export class IdempotencyError extends Error {
  override readonly name = 'IdempotencyError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = details.retryable ?? errorCatalogue[code].retryable
    this.details = details
  }

  /** HTTP status of the problem document for this code. */
  get status(): number {
    return errorCatalogue[this.code].status
  }
}

/** What a store throws for a record that it cannot read: never taken for absent (S18), and no reason to fail others. */
export function unreadable(): IdempotencyError {
  const sentence = 'A record has a format that this version of Oncekey cannot read. Upgrade this process.'
  return new IdempotencyError('store_unavailable', sentence, { apart: true })
}

/** Makes the compiler prove that a union was handled whole. */
export function assertNever(value: never): never {
  throw new IdempotencyError('internal', `unreachable: ${JSON.stringify(value)}. Please report this as a bug.`)
}
