/** The codes of everything Oncekey can refuse or fail with, and the one error class that carries them. */

/**
 * Every code with its HTTP status; below 0 where the same request, unchanged, may succeed later. In few bytes, for they go into every
 * bundle; `catalogue.ts` has them for people.
 */
export const codes = {
  key_missing: 400,
  key_malformed: 400,
  key_ambiguous: 400,
  tenant_required: 400,
  unknown_upstream: 404,
  in_progress: -409,
  outcome_unknown: 409,
  outcome_not_replayable: 409,
  superseded: 409,
  outcome_expired: 410,
  body_too_large: 413,
  body_malformed: 400,
  fingerprint_mismatch: 422,
  too_many_waiting: -429,
  quota_exceeded: -429,
  spool_failed: -503,
  upstream_unreachable: -502,
  upstream_timeout: -504,
  handler_failed: -500,
  store_unavailable: -503,
  not_committed: -500,
  step_changed: 500,
  step_too_large: 500,
  shutting_down: -503,
  config_invalid: 500,
  internal: 500,
} as const

/** A code of the catalogue. */
export type ErrorCode = keyof typeof codes

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
    this.retryable = details.retryable ?? codes[code] < 0
    this.details = details
  }

  /** HTTP status of the problem document for this code. */
  get status(): number {
    return Math.abs(codes[this.code])
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
