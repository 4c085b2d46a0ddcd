/** The store port. The contract is written here once, in numbered sentences; `storeConformance` tests each by number. */
import type { Fingerprint } from './fingerprint.ts'
import type { RecordId } from './key.ts'
import type { KeylessAnswer, KeylessCommand } from './keyless.ts'
import type { AttemptId, IdempotencyRecord, OnAbandoned, OutcomeKind, RecordState } from './record.ts'

/** Longest body a claim's answer carries, and longest piece of body in one call: 256 KiB. */
export const inlineBodyBytes: number = 256 * 1024

/** What a claim asks for. */
export interface ClaimRequest {
  readonly recordId: RecordId
  readonly attemptId: AttemptId
  readonly fingerprint: Fingerprint
  readonly rawFingerprint: Fingerprint | ''
  readonly onAbandoned: OnAbandoned
  readonly leaseMs: number
  readonly skewMs: number
  readonly retentionMs: number
  readonly tombstoneMs: number
}

/** How a grant came about: T1, T3, T9 or T12. */
export type GrantedBy = 'claim' | 'takeover' | 'retry' | 'claim_over'

/** What a claim got. `leaseLeftMs` (may be negative) is measured on the store's clock; margin not included. */
export type ClaimAnswer =
  | { readonly kind: 'granted'; readonly by: GrantedBy; readonly record: IdempotencyRecord }
  | { readonly kind: 'yours'; readonly record: IdempotencyRecord }
  | {
      readonly kind: 'held'
      readonly record: IdempotencyRecord
      readonly nowMs: number
      readonly leaseLeftMs: number
      /** The whole body of a completed outcome, when it is at most {@link inlineBodyBytes}. */
      readonly body?: Uint8Array
    }
  | { readonly kind: 'mismatch'; readonly record: IdempotencyRecord }

/** One lease to renew. */
export interface RenewRequest {
  readonly recordId: RecordId
  readonly attemptId: AttemptId
  readonly leaseMs: number
}

/**
 * `unknown`: the record was abandoned (T4) but the attempt is still the one that may settle it.
 * `fenced`: the attempt owns nothing any more; `resolved` if an operator ended it (T8).
 */
export type RenewAnswer =
  | { readonly kind: 'renewed' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'fenced'; readonly resolved: boolean }

/** Bytes of a body at an offset. */
export interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** What one step of an operation has made. The store knows it by a name of at most 64 ASCII characters. */
export interface KeptStep {
  readonly name: string
  readonly value: Uint8Array
}

/** What a settle (T6, T7) or a piece of progress writes. */
export type Settlement = { readonly recordId: RecordId; readonly attemptId: AttemptId } & (
  | { readonly kind: 'dispatched' }
  | { readonly kind: 'head'; readonly head: Uint8Array }
  | { readonly kind: 'dropped' }
  | ({ readonly kind: 'step' } & KeptStep)
  | {
      readonly kind: 'completed'
      readonly outcome: OutcomeKind
      readonly head: Uint8Array
      /** The rest of the body; its offset must be what was appended so far. Sealed in the same atomic step. */
      readonly rest: Piece
      readonly digest: string
    }
  | { readonly kind: 'released'; readonly retryAfterMs: number; readonly digest: string }
  | { readonly kind: 'unknown'; readonly digest: string }
)

/** `recorded`: written. `already`: this very settlement was there. `fenced`: refused; the current record, if any. */
export type SettleAnswer =
  | { readonly kind: 'recorded'; readonly record: IdempotencyRecord }
  | { readonly kind: 'already'; readonly record: IdempotencyRecord }
  | { readonly kind: 'fenced'; readonly record: IdempotencyRecord | undefined }

/** A piece of a running attempt's body. */
export interface AppendRequest extends Piece {
  readonly recordId: RecordId
  readonly attemptId: AttemptId
}

/** `refused`: another attempt's record, a gap, other bytes, or capture was dropped. */
export type AppendAnswer = { readonly kind: 'appended' | 'already' | 'refused' }

/** A record with the store's times, as of one moment. */
export interface ReadAnswer {
  readonly record: IdempotencyRecord | undefined
  readonly nowMs: number
  readonly leaseLeftMs: number
}

/** One step on the list of one keyless fingerprint. */
export type KeylessRequest = KeylessCommand & { readonly listId: string }

/**
 * How an operator, a cancel or a reconcile hook ends a record (T8). `cancelled` leaves it to the store, in the same step, which
 * end that is: whoever asks has seen a record whose effect may have begun since.
 */
export interface ResolveRequest {
  readonly recordId: RecordId
  readonly expected: AttemptId
  readonly fresh: AttemptId
  readonly to: 'released' | 'completed' | 'cancelled'
  /** Only for `completed`. */
  readonly outcome?: { readonly kind: OutcomeKind; readonly head: Uint8Array; readonly body: Uint8Array }
}

/** What an operator removes for good (T11 before its time). */
export interface PurgeRequest {
  readonly recordId: RecordId
  readonly expected: AttemptId
}

/** `refused`: it runs, or is another attempt's by now. */
export type PurgeAnswer = { readonly kind: 'purged' | 'refused' | 'absent' }

/** What one `sweep` did; `more` when it stopped at its limit. */
export interface SweepReport {
  readonly abandoned: number
  readonly expired: number
  readonly purged: number
  readonly released: number
  readonly more: boolean
}

/** A page of records, in no promised order. `cursor` is undefined after the last. */
export interface ScanPage {
  readonly entries: readonly { readonly recordId: RecordId; readonly record: IdempotencyRecord }[]
  readonly cursor: string | undefined
}

/**
 * What one writer has counted under one name, from its begin to now. Whoever sums over the writers has it all; nothing is
 * ever added to what another one wrote, so a call that is repeated, or whose answer was lost, counts nothing twice.
 */
export interface Tally {
  /** At most 512 characters; sorts by what is in front. */
  readonly name: string
  /** The one process that writes this entry. */
  readonly writer: string
  /** Whole numbers, at most 32 of them. None removes the entry. */
  readonly counts: Readonly<Record<string, number>>
}

/** A page of tallies, in no promised order. `cursor` is undefined after the last. */
export interface TallyPage {
  readonly tallies: readonly Tally[]
  readonly cursor: string | undefined
}

/**
 * One thing about a database's setup that bears on the promise. `weaker`: the promise holds with a limit that `meaning`
 * names. `broken`: it does not hold; a store that finds this at its start refuses, unless told otherwise.
 */
export interface Finding {
  readonly check: 'version' | 'durability' | 'eviction' | 'replicas' | 'privileges' | 'schema'
  readonly level: 'good' | 'weaker' | 'broken'
  /** What was seen, as the database names it: `appendfsync everysec`. */
  readonly found: string
  /** What it means for the promise and, unless good, what to do: plain sentences. */
  readonly meaning: string
}

/** What a store can do. */
export interface StoreCapabilities {
  readonly name: string
  /** Whose clock leases are on: the database's, or one that all processes of this host share. */
  readonly clock: 'store' | 'host'
  /** What an acknowledged settle survives: the process' crash is `process`, a power cut `disk`, a machine's loss `replicated`. */
  readonly durability: 'none' | 'process' | 'disk' | 'replicated'
  readonly hints: boolean
  /**
   * How many calls of one kind the engine should have under way, sharing out what waits among them. For a store that is
   * computed elsewhere: with all in one call the client and the server would take turns. Default: all that waits is one call.
   */
  readonly callsInFlight?: number
  readonly multiProcess: boolean
  readonly transactional: boolean
}

/**
 * A database behind the protocol. A store moves bytes atomically and owns the clock; the guards are the reducer's.
 *
 * S1  Every call takes an array and answers one entry per entry, in order; equal ids in one array act in order.
 * S2  Each entry is one atomic step of `reduce` on the store's clock, over all processes that share the store.
 * S3  At most one claim of a record is granted until it leaves `running` or its lease is over by more than the margin.
 * S4  A claim that is not granted changes nothing, T4, T10 and T12 aside, and answers with the current record.
 * S5  A claim's answer for a completed outcome carries its body when that is at most 256 KiB.
 * S6  `claim` under any policy but `reexecute`, `dispatched` and every settle are acknowledged only when they are as
 *     durable as `capabilities.durability` says; the rest only when all processes can see them.
 * S7  `renew` extends a lease from now, also a lapsed one that nobody took.
 * S8  A settle whose attempt is not the record's is refused and changes nothing.
 * S9  A settle repeated by the same attempt with the same digest answers `already`.
 * S10 `append` at offset = length appends; a piece that lies wholly inside with the same bytes is `already`; all else is refused.
 * S11 A completed outcome is sealed only if the rest's offset is what was appended; rest and seal are one step.
 * S12 A new attempt never sees a byte of a former one.
 * S13 `readBody` answers pieces in order from the offset, at most about 1 MiB a call, empty when there is nothing yet.
 * S14 Fences of one id strictly increase, also across purge.
 * S15 A running record never vanishes by age; retention runs from settlement.
 * S16 `sweep` works in small pieces and never holds up claims for long.
 * S17 `meta` writes a value once if absent and answers the one that is held.
 * S18 A store that cannot answer rejects; it never answers "absent" for what it could not read. Where one record is to blame
 *     the error is `unreadable()`, and the others are asked again without it.
 * S19 An adopted keyless entry goes to one retry only.
 * S20 `purge` removes a record of the expected attempt, and its bytes, unless it runs.
 * S21 `tally` replaces what a writer has counted under a name, as durably as a settle; `tallies` answers all that is kept,
 *     or all of it whose name begins with the prefix.
 * S22 `resolve` as `cancelled` ends only what runs: as `released` where its policy lets it run again, else as `unknown`.
 * S23 `settle` as `step` keeps a value under its name, in the place of one that is there, as durably as an end. T3 and T9
 *     keep the steps for the next attempt; T6 and T8 to `completed`, T10, T11 and T12 remove them. `steps` answers them all.
 */
export interface Store {
  readonly capabilities: StoreCapabilities
  claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]>
  renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]>
  settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]>
  append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]>
  read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]>
  readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]>
  /** In no promised order; none for a record that is absent or keeps none. */
  steps(recordId: RecordId): Promise<readonly KeptStep[]>
  keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]>
  resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]>
  purge(requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]>
  scan(cursor: string | undefined, filter: { readonly state?: RecordState; readonly limit: number }): Promise<ScanPage>
  sweep(limit: number, skewMs: number): Promise<SweepReport>
  meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array>
  tally(tallies: readonly Tally[]): Promise<void>
  /** `prefix` is ASCII and the same for every page; a store that keeps names in order reads no others for it. */
  tallies(cursor: string | undefined, prefix?: string): Promise<TallyPage>
  /** Looks at the database's setup, and changes nothing. */
  diagnose(): Promise<readonly Finding[]>
  /**
   * Calls `onHint` soon after the record may have changed, at best: nothing depends on it. Answers how to stop. Only where
   * `capabilities.hints`.
   */
  watch?(recordId: RecordId, onHint: () => void): () => void
  /** Settles inside a transaction of the caller's own. Only where `capabilities.transactional`. */
  settleIn?(transaction: unknown, settlement: Settlement): Promise<SettleAnswer>
  close(): Promise<void>
}
