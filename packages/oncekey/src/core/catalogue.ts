/** The catalogue of everything Oncekey can refuse or fail with, for people and problem documents. */
import { codes, type ErrorCode } from './errors.ts'

const titles: Readonly<Record<ErrorCode, string>> = {
  key_missing: 'An idempotency key is required',
  key_malformed: 'The idempotency key is malformed',
  key_ambiguous: 'The request names more than one idempotency key',
  tenant_required: 'The request has no tenant',
  unknown_upstream: 'No upstream has this name',
  in_progress: 'The original request is still running',
  outcome_unknown: 'The outcome of the original request is unknown',
  outcome_not_replayable: 'The outcome cannot be replayed',
  superseded: 'A newer attempt owns the record',
  outcome_expired: 'The outcome has expired',
  body_too_large: 'The request body is too large',
  body_malformed: 'The request body cannot be read',
  fingerprint_mismatch: 'The key was used for another request',
  too_many_waiting: 'Too many requests are waiting',
  quota_exceeded: 'The tenant has what it may have',
  spool_failed: 'The upload could not be kept while it came in',
  upstream_unreachable: 'The upstream cannot be reached',
  upstream_timeout: 'The upstream did not answer in time',
  handler_failed: 'The handler failed before it had answered',
  store_unavailable: 'The idempotency store is unavailable',
  not_committed: 'The transaction of the outcome has not committed',
  step_changed: 'A step is not the one that was recorded',
  step_too_large: 'What the steps have made is too large',
  shutting_down: 'The server is shutting down',
  config_invalid: 'The configuration cannot be right',
  internal: 'Oncekey failed',
}

/** What the catalogue says of a code. */
export interface CatalogueEntry {
  readonly status: number
  readonly title: string
  /** May the same request, unchanged, succeed later (`x-should-retry`)? */
  readonly retryable: boolean
}

/**
 * Every code with its HTTP status, its title and whether a retry may help; `docs/reference/errors.md` lists the same, and a
 * test compares both ways.
 */
export const errorCatalogue: Readonly<Record<ErrorCode, CatalogueEntry>> = Object.fromEntries(
  Object.entries(codes).map(([code, status]) => [
    code,
    { status: Math.abs(status), title: titles[code as ErrorCode], retryable: status < 0 },
  ]),
) as Record<ErrorCode, CatalogueEntry>
