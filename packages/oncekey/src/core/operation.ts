/** What is asked: the user's operation, and what the engine makes of it. */
import type { Fingerprint } from './fingerprint.ts'
import type { RecordId } from './key.ts'
import type { Policy } from './policy.ts'
import type { AttemptId } from './record.ts'
import type { ClaimRequest } from './store.ts'

/** A thing to be done once. The record is that of tenant, scope and key; `input` is what the fingerprint is made of. */
export interface Operation {
  /** 1–255 bytes, without control characters. */
  readonly key: string
  /** What kind of operation; the same key in another scope is another operation. Default ''. */
  readonly scope?: string
  /** Whose key it is. Default ''. */
  readonly tenant?: string
  /** A JSON value or bytes; the same key with another input is refused (`fingerprint_mismatch`). */
  readonly input?: unknown
}

/** Somebody who waits for an answer and may leave before it is there. */
export interface Caller {
  readonly hasLeft: boolean
  /** Calls back once if the caller leaves before the answer's end, at once if he has; returns how to stop listening. */
  onLeave(left: () => void): () => void
}

/** What `begin` works on. */
export interface Asked {
  readonly recordId: RecordId
  readonly fingerprint: Fingerprint
  readonly rawFingerprint: Fingerprint | ''
  readonly policy: Policy
  /** Is a stream's head enough to answer, or only the end? */
  readonly joinStreams: boolean
  readonly caller?: Caller
}

/** The claim that asks the store for it. */
export function claimOf({ recordId, fingerprint, rawFingerprint, policy }: Asked, attemptId: AttemptId): ClaimRequest {
  const { onAbandoned, leaseMs, skewMs, retentionMs, tombstoneMs } = policy
  return {
    recordId,
    attemptId,
    fingerprint,
    rawFingerprint,
    onAbandoned,
    leaseMs,
    skewMs,
    retentionMs,
    tombstoneMs,
  }
}
