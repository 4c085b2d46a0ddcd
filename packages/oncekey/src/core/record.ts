/** What a store keeps for one record id, and the state diagram it goes through. */
import type { Fingerprint } from './fingerprint.ts'

/**
 * The states of a record. A record that is absent has never run, or was purged.
 *
 * ```
 *            T1                T6                T10            T11
 *  absent ───────▶ running ─────────▶ completed ─────▶ expired ─────▶ absent
 *                  │  ▲  │ T4                ▲  T8
 *          T6, T13 │  │  └─────▶ unknown ────┤
 *                  ▼  │ T9          │ T6, T8 │
 *               released ◀──────────┘        │
 * ```
 * T3 replaces the attempt of a running record, T12 starts a record over once its last expiry has passed.
 */
export type RecordState = 'running' | 'completed' | 'released' | 'unknown' | 'expired'

/**
 * What happens to a record whose owner's lease ran out: stay `unknown` until somebody who knows ends it, `reexecute`
 * it, let user code `reconcile` it with the provider, or `resume` it: run again what its recorded steps have not done.
 */
export type OnAbandoned = 'unknown' | 'reexecute' | 'reconcile' | 'resume'

/** What an execution ended with: a library value, an HTTP response, a final error, or nothing that could be kept. */
export type OutcomeKind = 'value' | 'response' | 'error' | 'omitted'

/** 128 random bits, base64url; new for every claim. Every write is compared with it. */
export type AttemptId = string & { readonly __brand: 'AttemptId' }

/**
 * One record. Flat, because stores keep the guard fields as plain columns; times that do not apply are 0.
 * `leaseUntil` is on the store's lease clock, all other times are epoch ms on the store's wall clock.
 */
export interface IdempotencyRecord {
  readonly state: RecordState
  readonly attemptId: AttemptId
  /** Grows for ever, also across purge; about the claim's wall time in µs. */
  readonly fence: number
  /** How many times a claim was granted, from 1. */
  readonly attempt: number
  readonly leaseUntil: number
  readonly onAbandoned: OnAbandoned
  /** May the external effect have begun? Only written under `unknown`. */
  readonly dispatched: boolean
  /** Capture went past the size limit: the chunks are gone and the outcome will be `omitted`. */
  readonly dropped: boolean
  /** This attempt took over a record whose policy was `reconcile`: ask the provider first. */
  readonly recovering: boolean
  /** Values of steps are kept beside it. T3 and T9 hand them to the next attempt; they go when it completes or expires. */
  readonly steps: boolean
  /** Ended or cancelled by an operator or a hook (T8), not by an owner. */
  readonly resolved: boolean
  readonly fingerprint: Fingerprint
  /** Fingerprint of the request's raw bytes: a fast way to say yes. Empty where there are none. */
  readonly rawFingerprint: Fingerprint | ''
  /** Encoded head of the outcome; while running, of a stream that can be followed. */
  readonly head: Uint8Array | undefined
  /** Bytes of body appended so far; sealed by settle. */
  readonly bodyLength: number
  readonly outcome: OutcomeKind | undefined
  /** Digest of what settled it, so that a repeated settle is recognised. */
  readonly outcomeDigest: string
  /** A released record may not run again before this. */
  readonly retryAt: number
  readonly createdAt: number
  readonly settledAt: number
  readonly outcomeExpiresAt: number
  readonly tombstoneExpiresAt: number
  /** The policy of the claim that runs; retention is counted from settlement. */
  readonly retentionMs: number
  readonly tombstoneMs: number
}
