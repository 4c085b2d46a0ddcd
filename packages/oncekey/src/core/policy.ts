/** Every option with its default and its reason, and every limit that nobody sets. */
import { IdempotencyError } from './errors.ts'
import type { OnAbandoned } from './record.ts'

/** The options of one engine or route; durations in ms. */
export interface PolicyOptions {
  /** What happens when an owner dies. There is no silent default. */
  readonly onAbandoned: OnAbandoned
  /** How long a claim holds without renewal, ≥ 500. Default 30 s. */
  readonly leaseMs?: number
  /** How long an outcome is kept, from settlement. Default 24 h. */
  readonly retentionMs?: number
  /** How long a key stays refused (410) after its outcome expired. Default 0: it executes as new. */
  readonly tombstoneMs?: number
  /** Margin for clocks and scheduling, before anybody takes over a lapsed lease. Default 2 s. */
  readonly skewMs?: number
  /** How long a duplicate waits for the running original. Default 10 min. */
  readonly waitMs?: number
  /** Execute unprotected when the store is away. Default false. */
  readonly failOpen?: boolean
}

/** The options with their defaults filled in. */
export type Policy = Required<PolicyOptions>

/** The defaults of `createIdempotency` and of the gateway's flags; all ms. */
export const policyDefaults = {
  leaseMs: 30_000,
  retentionMs: 86_400_000,
  tombstoneMs: 0,
  skewMs: 2_000,
  waitMs: 600_000,
  failOpen: false,
} as const

/** Limits that hold for everybody, with their reasons. */
export const limits = {
  /** A renewal has to fit in three times. */
  minLeaseMs: 500,
  /** A store call that takes longer counts as failed. */
  storeTimeoutMs: 2_000,
  /** How long a claim, or the caller of a settle, is held while the store is away. */
  storeBudgetMs: 5_000,
  /** Most entries of one store call; keeps one call's time, and what a lost answer repeats, small. */
  batchEntries: 512,
  /** Calls of one kind under way at a time: while the first waits for the disk, the second is already written. */
  batchesInFlight: 2,
  /** Fewer entries are not worth a call of their own, where calls are shared out. */
  leastShare: 16,
  /** Calls of one kind that wait for a slot; with more the store is away for all that anybody can tell. */
  queuedCalls: 20_000,
  waitersPerRecord: 1_000,
  waitersPerProcess: 10_000,
  /** First poll, its growth, and its cap for waiters; a follower of a live stream is capped lower. */
  pollFirstMs: 5,
  pollGrowth: 1.6,
  pollCapMs: 250,
  followCapMs: 40,
  /** Chunks of a stream are gathered for this long or this many bytes. */
  appendGatherMs: 20,
  appendGatherBytes: 16_384,
  /** What the steps of one operation may make together, unless asked, and at most. */
  stepBytes: 1_048_576,
  mostStepBytes: 16_777_216,
  /** Steps of one operation: LMDB removes them with its outcome in one write, which holds up all others meanwhile. */
  steps: 10_000,
  /** How long a step of a new name waits for the recorded ones to be asked for. */
  stepGraceMs: 5_000,
  /** Bytes that wait for the store before the upstream is paused. */
  appendBacklogBytes: 4_194_304,
  /** What a recording keeps in memory for its readers; a slower one reads from the store. */
  windowBytes: 1_048_576,
  sweepEveryMs: 60_000,
  sweepEntries: 500,
} as const

/** Fills in the defaults, and refuses what cannot be right. */
export function policyOf(options: PolicyOptions): Policy {
  const policy: Policy = { ...policyDefaults, ...withoutUndefined(options) }
  if (!['unknown', 'reexecute', 'reconcile', 'resume'].includes(policy.onAbandoned)) {
    throw invalid(
      `onAbandoned must be 'unknown', 'reexecute', 'reconcile' or 'resume', not ${JSON.stringify(policy.onAbandoned)}`,
    )
  }
  for (const name of ['leaseMs', 'retentionMs', 'tombstoneMs', 'skewMs', 'waitMs'] as const) {
    if (!Number.isFinite(policy[name]) || policy[name] < 0)
      throw invalid(`${name} must be a number of milliseconds, 0 or more`)
  }
  if (policy.leaseMs < limits.minLeaseMs)
    throw invalid(`leaseMs must be at least ${limits.minLeaseMs}: a shorter lease cannot be renewed in time`)
  if (policy.retentionMs <= 0) throw invalid('retentionMs must be more than 0')
  return policy
}

function invalid(sentence: string): IdempotencyError {
  return new IdempotencyError('config_invalid', `${sentence}.`)
}

function withoutUndefined(options: PolicyOptions): PolicyOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as PolicyOptions
}
