/** What a transition makes of a record, once the reducer has decided it. */
import type { AttemptId, IdempotencyRecord } from './record.ts'

/** A store's time at the step: wall for dates, lease for leases (one clock where the database has only one). */
export interface StoreTime {
  readonly wallMs: number
  readonly leaseMs: number
  /** Every fence of this store that a purge has forgotten is at most this. */
  readonly fenceFloor: number
}

/** Is nothing of a record worth keeping any more? */
export function lastExpiryPassed(record: IdempotencyRecord, now: Pick<StoreTime, 'wallMs'>): boolean {
  return record.state !== 'running' && now.wallMs >= Math.max(record.outcomeExpiresAt, record.tombstoneExpiresAt)
}

/** T10: the body goes, id and fingerprint stay until the tombstone's expiry. */
export function expire(
  record: IdempotencyRecord,
  now: StoreTime,
): { record: IdempotencyRecord; drop?: AttemptId; dropSteps?: boolean } {
  const settled = record.state === 'completed' || record.state === 'unknown'
  if (!settled || now.wallMs < record.outcomeExpiresAt) return { record }
  const expired = { ...record, state: 'expired', head: undefined, bodyLength: 0, steps: false } as const
  return { record: expired, drop: record.attemptId, dropSteps: record.steps }
}

/** T4; the attemptId is kept, so that the late owner may still tell the truth. */
export function abandon(record: IdempotencyRecord, now: StoreTime): IdempotencyRecord {
  return { ...record, state: 'unknown', ...expiries(record, now) }
}

/** T6 and T13: the key may run again. */
export function release(
  record: IdempotencyRecord,
  now: StoreTime,
  retryAfterMs: number,
  digest: string,
): IdempotencyRecord {
  return {
    ...record,
    state: 'released',
    head: undefined,
    bodyLength: 0,
    dropped: false,
    outcomeDigest: digest,
    retryAt: retryAfterMs > 0 ? now.wallMs + retryAfterMs : 0,
    settledAt: now.wallMs,
    outcomeExpiresAt: 0,
    tombstoneExpiresAt: now.wallMs + Math.max(record.retentionMs, retryAfterMs),
  }
}

/** T6: an outcome is recorded. */
export function complete(
  record: IdempotencyRecord,
  ask: {
    readonly outcome: NonNullable<IdempotencyRecord['outcome']>
    readonly head: Uint8Array
    readonly digest: string
  },
  now: StoreTime,
  bodyLength: number,
): IdempotencyRecord {
  return {
    ...record,
    state: 'completed',
    head: ask.head,
    bodyLength,
    steps: false,
    outcome: ask.outcome,
    outcomeDigest: ask.digest,
    ...expiries(record, now),
  }
}

function expiries(
  record: IdempotencyRecord,
  now: StoreTime,
): Pick<IdempotencyRecord, 'settledAt' | 'outcomeExpiresAt' | 'tombstoneExpiresAt'> {
  const outcomeExpiresAt = now.wallMs + record.retentionMs
  return { settledAt: now.wallMs, outcomeExpiresAt, tombstoneExpiresAt: outcomeExpiresAt + record.tombstoneMs }
}
