/** What a claim's answer means for the one who asked: an outcome, a stream to follow, a refusal, or patience. */

import type { Begun } from './engine.ts'
import { assertNever, IdempotencyError } from './errors.ts'
import type { RecordId } from './key.ts'
import type { Asked } from './operation.ts'
import type { Policy } from './policy.ts'
import type { IdempotencyRecord } from './record.ts'
import type { ClaimAnswer } from './store.ts'

type Held = Extract<ClaimAnswer, { kind: 'held' }>

/** Longest hint a client takes seriously, and the shortest that is worth a request. */
const retryHintMs = { least: 1_000, most: 60_000 }

/** Is this the request that the record was made for? */
export function matches(record: IdempotencyRecord, asked: Asked): boolean {
  if (record.fingerprint === asked.fingerprint) return true
  return asked.rawFingerprint !== '' && record.rawFingerprint === asked.rawFingerprint
}

/** Refuses a request that is not the one the record was made for (I7). */
export function sameRequest(record: IdempotencyRecord, asked: Asked): void {
  if (matches(record, asked)) return
  const sentence =
    'This idempotency key was used for another request. Use a new key for a new request; the original still replays.'
  throw new IdempotencyError('fingerprint_mismatch', sentence, { recordId: asked.recordId })
}

/** Was it this very claim that found the record's owner dead (T4)? An owner that ends so itself leaves its digest. */
export function isAbandonment({ record, nowMs }: Held): boolean {
  return record.state === 'unknown' && record.settledAt === nowMs && record.outcomeDigest === ''
}

/** Is there nothing to wait for? Then everybody who waits in this process may judge the same answer. */
export function isFinal(held: Held, asked: Asked): boolean {
  const { record } = held
  return record.state !== 'running' || record.dropped || (asked.joinStreams && record.head !== undefined)
}

/** The answer's meaning; undefined while the original runs. Throws IdempotencyError for refusals. */
export function answer(
  claimed: Exclude<ClaimAnswer, { kind: 'granted' | 'yours' }>,
  asked: Asked,
  waited: boolean,
): Begun | undefined {
  const { record } = claimed
  if (record.state !== 'expired') sameRequest(record, asked)
  if (claimed.kind === 'mismatch') return undefined
  switch (record.state) {
    case 'completed':
      if (record.outcome === 'omitted') throw notReplayable(asked.recordId)
      return { kind: 'recorded', record, body: claimed.body, joined: waited }
    case 'running':
      if (record.dropped) throw notReplayable(asked.recordId)
      return asked.joinStreams && record.head !== undefined ? { kind: 'following', record } : undefined
    case 'released':
      throw inProgress(asked.recordId, asked.policy, record.retryAt - claimed.nowMs)
    case 'unknown':
      throw outcomeUnknown(asked.recordId)
    case 'expired':
      throw new IdempotencyError(
        'outcome_expired',
        'The outcome of this key has expired. Use a new key for a new request.',
        {
          recordId: asked.recordId,
        },
      )
    default:
      return assertNever(record.state)
  }
}

export function inProgress(recordId: RecordId, policy: Policy, leftMs: number = policy.leaseMs / 3): IdempotencyError {
  const retryAfterMs = Math.min(Math.max(leftMs, retryHintMs.least), retryHintMs.most)
  const sentence =
    'The original request with this key is still running. Try again with the same key to get its outcome.'
  return new IdempotencyError('in_progress', sentence, { recordId, retryAfterMs })
}

function outcomeUnknown(recordId: RecordId): IdempotencyError {
  const sentence =
    'The original request may have been executed, but its process died or its answer broke off before an outcome was recorded. It is not run again; an operator has to resolve the record.'
  return new IdempotencyError('outcome_unknown', sentence, { recordId, safeToUseNewKey: false })
}

export function notReplayable(recordId: RecordId): IdempotencyError {
  const sentence =
    'The original request was executed, but its answer could not be kept. It is not run again; a new key would execute and bill it anew.'
  return new IdempotencyError('outcome_not_replayable', sentence, { recordId, safeToUseNewKey: false })
}
