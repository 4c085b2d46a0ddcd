/** The only place that decides: (record, command, now) → [record, answer]. Pure; transitions T1–T13 of the protocol. */
import { assertNever } from './errors.ts'
import type { AttemptId, IdempotencyRecord } from './record.ts'
import type {
  AppendRequest,
  ClaimAnswer,
  ClaimRequest,
  GrantedBy,
  KeptStep,
  Piece,
  PurgeAnswer,
  PurgeRequest,
  RenewAnswer,
  RenewRequest,
  ResolveRequest,
  SettleAnswer,
  Settlement,
} from './store.ts'
import { abandon, complete, expire, lastExpiryPassed, release, type StoreTime } from './transitions.ts'

export type { StoreTime } from './transitions.ts'

/** What a step makes of a record. `record` is the very object that came in when nothing changed. */
export interface Reduction<Answer> {
  readonly record: IdempotencyRecord | undefined
  readonly answer: Answer
  /** Bytes to store under the record's attempt, in the same atomic step. */
  readonly write?: Piece
  /** Delete all bytes stored under this attempt, in the same atomic step. */
  readonly drop?: AttemptId
  /** Keep the value of a step, in the same atomic step. */
  readonly step?: KeptStep
  /** Delete all steps of the record, in the same atomic step; never beside `step`. */
  readonly dropSteps?: boolean
}

type Current = IdempotencyRecord | undefined

/** Has the owner's lease been over for longer than the margin? */
export function leaseOver(record: IdempotencyRecord, skewMs: number, now: StoreTime): boolean {
  return now.leaseMs > record.leaseUntil + skewMs
}

/** T1, T2, T3, T9 and T12; performs T4, T10 and T12 before it judges. */
export function claim(current: Current, ask: ClaimRequest, now: StoreTime): Reduction<ClaimAnswer> {
  if (current === undefined) return grant(undefined, ask, now, 'claim')
  if (current.attemptId !== ask.attemptId && lastExpiryPassed(current, now))
    return grant(current, ask, now, 'claim_over')
  const aged = expire(current, now)
  const record = aged.record
  if (record.state !== 'expired' && !sameRequest(record, ask))
    return { record: current, answer: { kind: 'mismatch', record } }
  if (record.attemptId === ask.attemptId) {
    // Only a running attempt is handed out again (T2): a claim that was given up and arrives late must not revive it.
    if (record.state === 'running') return { record, answer: { kind: 'yours', record } }
    return { ...aged, answer: held(record, now) }
  }
  if (record.state === 'running' && leaseOver(record, ask.skewMs, now)) {
    if (mayRunAgain(record)) return grant(record, ask, now, 'takeover')
    const abandoned = abandon(record, now)
    return { record: abandoned, answer: held(abandoned, now) }
  }
  if (record.state === 'released' && now.wallMs >= record.retryAt) return grant(record, ask, now, 'retry')
  return { ...aged, answer: held(record, now) }
}

/** T5. A lapsed lease that nobody took is revived. */
export function renew(current: Current, ask: RenewRequest, now: StoreTime): Reduction<RenewAnswer> {
  if (current === undefined || current.attemptId !== ask.attemptId) {
    return { record: current, answer: { kind: 'fenced', resolved: current?.resolved ?? false } }
  }
  switch (current.state) {
    case 'running':
      return { record: { ...current, leaseUntil: now.leaseMs + ask.leaseMs }, answer: { kind: 'renewed' } }
    case 'unknown':
      return { record: current, answer: { kind: 'unknown' } }
    default:
      return { record: current, answer: { kind: 'fenced', resolved: current.resolved } }
  }
}

/** T6 and T7, and progress (`dispatched`, `head`, `dropped`, `step`) of the running attempt. */
export function settle(current: Current, ask: Settlement, now: StoreTime): Reduction<SettleAnswer> {
  if (current === undefined || current.attemptId !== ask.attemptId) return fenced(current)
  switch (ask.kind) {
    case 'dispatched':
      if (current.state !== 'running') return fenced(current)
      return current.dispatched ? already(current) : recorded({ ...current, dispatched: true })
    case 'head':
      if (!unsettled(current) || current.dropped) return fenced(current)
      return recorded({ ...current, head: ask.head })
    case 'dropped':
      if (!unsettled(current)) return fenced(current)
      return { ...recorded({ ...current, dropped: true, bodyLength: 0 }), drop: current.attemptId }
    case 'step':
      if (!unsettled(current)) return fenced(current)
      return { ...recorded({ ...current, steps: true }), step: { name: ask.name, value: ask.value } }
    case 'completed':
    case 'released':
    case 'unknown':
      return end(current, ask, now)
    default:
      return assertNever(ask)
  }
}

type Ending = Extract<Settlement, { readonly digest: string }>

function end(current: IdempotencyRecord, ask: Ending, now: StoreTime): Reduction<SettleAnswer> {
  if (current.state === ask.kind && current.outcomeDigest === ask.digest) return already(current)
  if (!unsettled(current)) return fenced(current)
  if (ask.kind === 'unknown') return recorded({ ...abandon(current, now), outcomeDigest: ask.digest })
  if (ask.kind === 'released')
    return { ...recorded(release(current, now, ask.retryAfterMs, ask.digest)), drop: current.attemptId }
  if (ask.outcome === 'omitted') {
    return { ...recorded(complete(current, ask, now, 0)), drop: current.attemptId, dropSteps: current.steps }
  }
  if (current.dropped || ask.rest.offset !== current.bodyLength) return fenced(current)
  const done = {
    ...recorded(complete(current, ask, now, ask.rest.offset + ask.rest.bytes.length)),
    dropSteps: current.steps,
  }
  return ask.rest.bytes.length === 0 ? done : { ...done, write: ask.rest }
}

/** Append; `inside` means the piece lies in what is there, and the store says `already` if its bytes are the same. */
export function append(current: Current, ask: AppendRequest): Reduction<'appended' | 'inside' | 'refused'> {
  if (current === undefined || current.attemptId !== ask.attemptId || current.dropped)
    return { record: current, answer: 'refused' }
  const endsAt = ask.offset + ask.bytes.length
  if (endsAt <= current.bodyLength) return { record: current, answer: 'inside' }
  if (!unsettled(current) || ask.offset !== current.bodyLength) return { record: current, answer: 'refused' }
  return { record: { ...current, bodyLength: endsAt }, answer: 'appended', write: ask }
}

/** T8: an operator, a cancel or a reconcile hook ends what is unknown or running, under a fresh attemptId. */
export function resolve(current: Current, ask: ResolveRequest, now: StoreTime): Reduction<SettleAnswer> {
  if (current === undefined) return fenced(current)
  if (current.attemptId === ask.fresh) return already(current)
  if (ask.to === 'cancelled') return cancel(current, ask, now)
  if (!unsettled(current) || current.attemptId !== ask.expected) return fenced(current)
  const owned = { ...current, attemptId: ask.fresh, resolved: true, bodyLength: 0, dropped: false }
  if (ask.to !== 'completed' || ask.outcome === undefined) {
    return { ...recorded({ ...release(owned, now, 0, ''), resolved: true }), drop: current.attemptId }
  }
  const outcome = { outcome: ask.outcome.kind, head: ask.outcome.head, digest: '' }
  const done = recorded(complete(owned, outcome, now, ask.outcome.body.length))
  const write = { offset: 0, bytes: ask.outcome.body }
  return { ...done, write, drop: current.attemptId, dropSteps: current.steps }
}

/**
 * T8 of what runs, its end decided here and now: as after a crash, but that nobody would ask the provider about a record
 * that was released, so `reconcile` is no leave to.
 *
 * A released one keeps its attempt, whose claim may have been sent twice: under a fresh id the second would be granted as a
 * retry, and the cancelled owner would record its outcome after all (test/simulation found it).
 */
function cancel(current: IdempotencyRecord, ask: ResolveRequest, now: StoreTime): Reduction<SettleAnswer> {
  if (current.attemptId !== ask.expected) return fenced(current)
  if (current.state === 'released' && current.resolved) return already(current)
  if (current.state !== 'running') return fenced(current)
  const ended = { ...current, resolved: true, bodyLength: 0, dropped: false }
  const drop = current.attemptId
  if (mayRunAgain(current) && current.onAbandoned !== 'reconcile')
    return { ...recorded(release(ended, now, 0, '')), drop }
  return { ...recorded({ ...abandon({ ...ended, attemptId: ask.fresh }, now), head: undefined }), drop }
}

/** T11 before its time, by an operator. What runs has to be ended first (T8): its owner would pay for nobody. */
export function purge(current: Current, ask: PurgeRequest): Reduction<PurgeAnswer> {
  if (current === undefined) return { record: current, answer: { kind: 'absent' } }
  if (current.state === 'running' || current.attemptId !== ask.expected)
    return { record: current, answer: { kind: 'refused' } }
  return { record: undefined, answer: { kind: 'purged' }, drop: current.attemptId, dropSteps: current.steps }
}

/** What the sweeper does to one record: T4, T10, T11 or T13. */
export function sweep(current: IdempotencyRecord, skewMs: number, now: StoreTime): Reduction<'kept' | SweepStep> {
  if (current.state === 'running') return sweepRunning(current, skewMs, now)
  if (lastExpiryPassed(current, now))
    return { record: undefined, answer: 'purged', drop: current.attemptId, dropSteps: current.steps }
  const aged = expire(current, now)
  return { ...aged, answer: aged.record === current ? 'kept' : 'expired' }
}

/** A step of the sweeper, as it is counted. */
export type SweepStep = 'abandoned' | 'expired' | 'purged' | 'released'

function sweepRunning(current: IdempotencyRecord, skewMs: number, now: StoreTime): Reduction<'kept' | SweepStep> {
  if (!leaseOver(current, skewMs, now)) return { record: current, answer: 'kept' }
  if (!mayRunAgain(current)) return { record: abandon(current, now), answer: 'abandoned' }
  if (now.leaseMs <= current.leaseUntil + current.retentionMs) return { record: current, answer: 'kept' }
  return { record: release(current, now, 0, ''), answer: 'released', drop: current.attemptId }
}

function grant(former: Current, ask: ClaimRequest, now: StoreTime, by: GrantedBy): Reduction<ClaimAnswer> {
  const same = by === 'takeover' || by === 'retry' ? former : undefined
  const record: IdempotencyRecord = {
    state: 'running',
    attemptId: ask.attemptId,
    fence: Math.max((former?.fence ?? 0) + 1, now.fenceFloor + 1, Math.floor(now.wallMs * 1000)),
    attempt: (same?.attempt ?? 0) + 1,
    leaseUntil: now.leaseMs + ask.leaseMs,
    onAbandoned: ask.onAbandoned,
    dispatched: false,
    dropped: false,
    recovering: by === 'takeover' && former?.onAbandoned === 'reconcile',
    resolved: false,
    steps: same?.steps ?? false,
    fingerprint: ask.fingerprint,
    rawFingerprint: ask.rawFingerprint,
    head: undefined,
    bodyLength: 0,
    outcome: undefined,
    outcomeDigest: '',
    retryAt: 0,
    createdAt: same?.createdAt ?? now.wallMs,
    settledAt: 0,
    outcomeExpiresAt: 0,
    tombstoneExpiresAt: 0,
    retentionMs: ask.retentionMs,
    tombstoneMs: ask.tombstoneMs,
  }
  const granted = { record, answer: { kind: 'granted', by, record } as const }
  if (former === undefined) return granted
  return { ...granted, drop: former.attemptId, dropSteps: former.steps && !record.steps }
}

/** The recorded policy decides, never the asker's: only `unknown` stops a second run, and only once dispatched. */
function mayRunAgain(record: IdempotencyRecord): boolean {
  return record.onAbandoned !== 'unknown' || !record.dispatched
}

/** Running, or abandoned: the late truth of its owner may still end an unknown record; nothing else is ended twice. */
function unsettled(record: IdempotencyRecord): boolean {
  return record.state === 'running' || record.state === 'unknown'
}

function sameRequest(record: IdempotencyRecord, ask: ClaimRequest): boolean {
  return (
    record.fingerprint === ask.fingerprint ||
    (ask.rawFingerprint !== '' && record.rawFingerprint === ask.rawFingerprint)
  )
}

function held(record: IdempotencyRecord, now: StoreTime): ClaimAnswer {
  return { kind: 'held', record, nowMs: now.wallMs, leaseLeftMs: record.leaseUntil - now.leaseMs }
}

function recorded(record: IdempotencyRecord): { record: IdempotencyRecord; answer: SettleAnswer } {
  return { record, answer: { kind: 'recorded', record } }
}

function already(record: IdempotencyRecord): Reduction<SettleAnswer> {
  return { record, answer: { kind: 'already', record } }
}

function fenced(record: Current): Reduction<SettleAnswer> {
  return { record, answer: { kind: 'fenced', record } }
}
