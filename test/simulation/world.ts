/** The world that is searched: one record, three actors, a sweeper, lost answers, crashes, clock jumps, a purge, a zombie. */
import type { Fingerprint } from '../../packages/oncekey/src/core/fingerprint.ts'
import type { RecordId } from '../../packages/oncekey/src/core/key.ts'
import type { AttemptId, IdempotencyRecord, OnAbandoned } from '../../packages/oncekey/src/core/record.ts'
import type * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import type { ClaimRequest, Settlement } from '../../packages/oncekey/src/core/store.ts'

/** The guards under test; a mutant replaces one of them. */
export type Rules = Pick<typeof reducer, 'claim' | 'renew' | 'settle' | 'append' | 'resolve' | 'sweep'>

/** What one process remembers. `asking` and `settling` have sent a call whose answer was lost. */
interface Actor {
  readonly phase: 'idle' | 'asking' | 'held' | 'effect' | 'settling'
  readonly attempt: string
  readonly appended: number
}

/** What really happened, kept beside the record so that a wrong guard cannot hide it. */
interface Ghost {
  /** The newest granted attempt and until when its lease holds, on the lease clock; '' when it has ended. */
  readonly owner: string
  readonly ownerUntil: number
  readonly newest: string
  readonly lastFence: number
  /** Of this incarnation of the record. */
  readonly grants: number
  readonly effects: number
  /** Takeovers and retries that the recorded policy allows. */
  readonly excuses: number
  readonly dispatchedUnknown: boolean
  readonly completedBy: string
  readonly expiresAt: number
  /** Bytes that attempt really appended. */
  readonly bytes: number
}

/** One state of the search. */
export interface World {
  readonly record: IdempotencyRecord | undefined
  readonly actors: readonly Actor[]
  readonly wallMs: number
  readonly leaseMs: number
  readonly fenceFloor: number
  readonly ghost: Ghost
  /** What is left of the bounds. */
  readonly left: {
    readonly attempts: number
    readonly losses: number
    readonly ticks: number
    readonly jumps: number
    readonly crashes: number
  }
}

/** Small times, so that states meet again. */
const times = { lease: 10, skew: 2, retention: 40 } as const

const noGhost: Ghost = {
  owner: '',
  ownerUntil: 0,
  newest: '',
  lastFence: 0,
  grants: 0,
  effects: 0,
  excuses: 0,
  dispatchedUnknown: false,
  completedBy: '',
  expiresAt: 0,
  bytes: 0,
}

/** The beginning. */
export const start: World = {
  record: undefined,
  actors: [0, 1, 2].map(() => ({ phase: 'idle', attempt: '', appended: 0 })),
  wallMs: 1000,
  leaseMs: 0,
  fenceFloor: 0,
  ghost: noGhost,
  left: { attempts: 3, losses: 1, ticks: 2, jumps: 1, crashes: 1 },
}

/** A step that broke an invariant. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

function must(invariant: string, holds: boolean, what: string): void {
  if (!holds) throw new Violation(`${invariant}: ${what}`)
}

/** What the search varies: the recorded policy of the two owners, the waiter's own, and whether ids restart. */
export interface Setting {
  readonly owners: OnAbandoned
  readonly waiter: OnAbandoned
  /** The mistake the protocol warns of: attempt ids that count from the record. */
  readonly countedIds?: boolean
}

const same = 'f-same' as Fingerprint
const other = 'f-other' as Fingerprint
const id = 'r' as RecordId

function timeOf(world: World): reducer.StoreTime {
  return { wallMs: world.wallMs, leaseMs: world.leaseMs, fenceFloor: world.fenceFloor }
}

function withActor(world: World, index: number, actor: Actor): World {
  return { ...world, actors: world.actors.with(index, actor) }
}

function spend(world: World, what: keyof World['left']): World {
  return { ...world, left: { ...world.left, [what]: world.left[what] - 1 } }
}

const idle: Actor = { phase: 'idle', attempt: '', appended: 0 }

/** Every state that one step leads to, with the step's name. Throws Violation. */
export function* steps(world: World, rules: Rules, setting: Setting): Generator<readonly [string, World]> {
  for (const [index, actor] of world.actors.entries()) {
    const name = index === 2 ? 'waiter' : `owner${index + 1}`
    for (const [step, next] of actorSteps(world, index, actor, rules, setting)) yield [`${name} ${step}`, next]
  }
  yield* environment(world, rules)
}

function* actorSteps(
  world: World,
  index: number,
  actor: Actor,
  rules: Rules,
  setting: Setting,
): Generator<readonly [string, World]> {
  const policy = index === 2 ? setting.waiter : setting.owners
  const { losses, crashes, attempts } = world.left
  if (actor.phase !== 'idle' && crashes > 0) yield ['crashes', spend(withActor(world, index, idle), 'crashes')]
  if (actor.phase === 'idle' && attempts > 0) {
    const attempt = setting.countedIds ? `a${(world.record?.attempt ?? 0) + 1}` : `a${4 - attempts}`
    const spent = spend(world, 'attempts')
    yield ['claims', claim(spent, index, attempt, policy, rules, false)]
    if (losses > 0) yield ['claims, answer lost', claim(spend(spent, 'losses'), index, attempt, policy, rules, true)]
    if (index === 2) claimAnother(world, rules)
  }
  if (actor.phase === 'asking') yield ['claims again', claim(world, index, actor.attempt, policy, rules, false)]
  if (actor.phase === 'held') {
    yield ['dispatches', dispatch(world, index, actor, policy, rules)]
    yield ['renews', renew(world, index, actor, rules)]
    yield ['releases', settle(world, index, actor, 'released', rules, false)]
  }
  if (actor.phase === 'effect') {
    if (actor.appended === 0) yield ['appends', append(world, index, actor, rules)]
    yield ['completes', settle(world, index, actor, 'completed', rules, false)]
    if (losses > 0)
      yield ['completes, answer lost', settle(spend(world, 'losses'), index, actor, 'completed', rules, true)]
    sealShort(world, actor, rules)
  }
  if (actor.phase === 'settling') yield ['completes again', settle(world, index, actor, 'completed', rules, false)]
}

function ask(attempt: string, policy: OnAbandoned, fingerprint: Fingerprint): ClaimRequest {
  return {
    recordId: id,
    attemptId: attempt as AttemptId,
    fingerprint,
    rawFingerprint: '',
    onAbandoned: policy,
    leaseMs: times.lease,
    skewMs: times.skew,
    retentionMs: times.retention,
    tombstoneMs: 0,
  }
}

function claim(world: World, index: number, attempt: string, policy: OnAbandoned, rules: Rules, lost: boolean): World {
  const before = world.record
  const { record, answer } = rules.claim(before, ask(attempt, policy, same), timeOf(world))
  let next: World = { ...world, record }
  if (answer.kind === 'granted') next = granted(next, before, attempt)
  else {
    must('I2 no overwrite', !completedLost(world, record), 'a claim that was not granted took a recorded outcome away')
    // T4: retention runs from the moment somebody noticed.
    if (record?.state === 'unknown' && before?.state === 'running')
      next = { ...next, ghost: { ...next.ghost, expiresAt: world.wallMs + times.retention } }
  }
  const mine = before?.state === 'running' && before.attemptId === attempt
  must(
    'I6 lost answers',
    !mine || answer.kind === 'yours',
    'the owner that asks again is not told that the claim is its own',
  )
  if (lost) return withActor(next, index, { phase: 'asking', attempt, appended: 0 })
  const got = answer.kind === 'granted' || answer.kind === 'yours'
  return withActor(next, index, got ? { phase: 'held', attempt, appended: 0 } : idle)
}

function granted(world: World, before: IdempotencyRecord | undefined, attempt: string): World {
  const { ghost, record } = world
  if (record === undefined) throw new Violation('I1 single grant: granted without a record')
  const free = ghost.owner === '' || world.leaseMs > ghost.ownerUntil + times.skew
  must('I1 single grant', free, `${attempt} was granted while ${ghost.owner} holds its lease`)
  must('I9 monotonic fence', record.fence > ghost.lastFence, `fence ${record.fence} after ${ghost.lastFence}`)
  const fresh = before === undefined || (ghost.expiresAt > 0 && world.wallMs >= ghost.expiresAt)
  must('I2 no overwrite', fresh || ghost.completedBy === '', 'a recorded outcome was claimed over before it expired')
  const grants = fresh ? 1 : ghost.grants + 1
  must('I1 single grant', record.attempt === grants, `attempt ${record.attempt} at grant ${grants}`)
  const unknownBefore = !fresh && ghost.dispatchedUnknown
  must('I4 at most once', !unknownBefore, 'an operation that may have run under `unknown` was granted again')
  must(
    'I10 completeness',
    record.bodyLength === 0 && !record.dispatched,
    'a new attempt began with what a former one left',
  )
  return {
    ...world,
    ghost: {
      ...(fresh ? noGhost : ghost),
      owner: attempt,
      ownerUntil: world.leaseMs + times.lease,
      newest: attempt,
      lastFence: record.fence,
      grants,
      excuses: fresh ? 0 : ghost.excuses + 1,
      dispatchedUnknown: false,
      completedBy: '',
      expiresAt: 0,
      bytes: 0,
    },
  }
}

/** I7: another request under the key never executes and changes nothing. */
function claimAnother(world: World, rules: Rules): void {
  const { record, answer } = rules.claim(world.record, ask('a-other', 'reexecute', other), timeOf(world))
  const over =
    world.record === undefined || (world.record.state !== 'running' && lastExpiry(world.record) <= world.wallMs)
  must('I7 request binding', over || answer.kind === 'mismatch', `another request got "${answer.kind}"`)
  must('I7 request binding', over || record === world.record, 'another request changed the record')
}

function lastExpiry(record: IdempotencyRecord): number {
  return Math.max(record.outcomeExpiresAt, record.tombstoneExpiresAt)
}

function dispatch(world: World, index: number, actor: Actor, policy: OnAbandoned, rules: Rules): World {
  if (policy !== 'unknown') return effect(world, index, actor)
  const { record, answer } = rules.settle(world.record, settlement(actor, { kind: 'dispatched' }), timeOf(world))
  const next = { ...world, record }
  if (answer.kind === 'fenced') return withActor(next, index, idle)
  accepted(next, actor)
  return effect({ ...next, ghost: { ...next.ghost, dispatchedUnknown: true } }, index, actor)
}

function effect(world: World, index: number, actor: Actor): World {
  const { ghost } = world
  // An effect of a former incarnation's zombie counts for nobody: its record has been forgotten.
  const counts = ghost.newest === actor.attempt
  const effects = ghost.effects + Number(counts)
  must(
    'I4 at most once',
    effects <= 1 + ghost.excuses,
    `${effects} effects with ${ghost.excuses} takeovers and retries`,
  )
  return withActor({ ...world, ghost: { ...ghost, effects } }, index, { ...actor, phase: 'effect' })
}

type Body = Settlement extends infer S ? (S extends unknown ? Omit<S, 'recordId' | 'attemptId'> : never) : never

function settlement(actor: Actor, body: Body): Settlement {
  return { recordId: id, attemptId: actor.attempt as AttemptId, ...body } as Settlement
}

function completed(offset: number): Body {
  return {
    kind: 'completed',
    outcome: 'response',
    head: new Uint8Array(0),
    rest: { offset, bytes: new Uint8Array(0) },
    digest: 'd',
  }
}

/** I3: a write that was accepted must be the newest attempt's, whatever happened to the record meanwhile. */
function accepted(world: World, actor: Actor): void {
  must(
    'I3 fencing',
    world.ghost.newest === actor.attempt,
    `a write of ${actor.attempt} landed after ${world.ghost.newest} was granted`,
  )
}

function settle(
  world: World,
  index: number,
  actor: Actor,
  as: 'completed' | 'released',
  rules: Rules,
  lost: boolean,
): World {
  const body: Body = as === 'completed' ? completed(actor.appended) : { kind: 'released', retryAfterMs: 0, digest: 'r' }
  const before = world.record
  const { record, answer } = rules.settle(before, settlement(actor, body), timeOf(world))
  let next: World = { ...world, record }
  const again =
    before?.state === as &&
    before.attemptId === actor.attempt &&
    before.outcomeDigest === (as === 'completed' ? 'd' : 'r')
  must('I6 lost answers', !again || answer.kind === 'already', 'a settle that was repeated is not recognised')
  if (answer.kind === 'recorded') {
    accepted(next, actor)
    must('I2 no overwrite', world.ghost.completedBy === '', 'a recorded outcome was written over')
    if (as === 'completed')
      must('I10 completeness', record?.bodyLength === world.ghost.bytes, 'sealed at another length than was appended')
    const expiresAt = world.wallMs + times.retention
    const completedBy = as === 'completed' ? actor.attempt : ''
    next = { ...next, ghost: { ...next.ghost, owner: '', dispatchedUnknown: false, completedBy, expiresAt } }
  } else {
    must('I2 no overwrite', record === before, 'a refused settle changed the record')
  }
  return withActor(next, index, lost ? { ...actor, phase: 'settling' } : idle)
}

/** I10: an outcome is never sealed at another length than was appended. */
function sealShort(world: World, actor: Actor, rules: Rules): void {
  const wrong = completed(actor.appended + 1)
  const { answer } = rules.settle(world.record, settlement(actor, { ...wrong, digest: 'wrong' } as Body), timeOf(world))
  must('I10 completeness', answer.kind !== 'recorded', 'an outcome was sealed beyond what was appended')
}

function append(world: World, index: number, actor: Actor, rules: Rules): World {
  const piece = { recordId: id, attemptId: actor.attempt as AttemptId, offset: 0, bytes: new Uint8Array(1) }
  const { record, answer } = rules.append(world.record, piece)
  if (answer !== 'appended') return withActor({ ...world, record }, index, { ...actor, appended: 1 })
  accepted(world, actor)
  const next = { ...world, record, ghost: { ...world.ghost, bytes: 1 } }
  return withActor(next, index, { ...actor, appended: 1 })
}

function renew(world: World, index: number, actor: Actor, rules: Rules): World {
  const ids = { recordId: id, attemptId: actor.attempt as AttemptId, leaseMs: times.lease }
  const { record, answer } = rules.renew(world.record, ids, timeOf(world))
  if (answer.kind !== 'renewed') return withActor({ ...world, record }, index, answer.kind === 'fenced' ? idle : actor)
  accepted(world, actor)
  return { ...world, record, ghost: { ...world.ghost, ownerUntil: world.leaseMs + times.lease } }
}

function* environment(world: World, rules: Rules): Generator<readonly [string, World]> {
  if (world.left.ticks > 0) {
    yield ['the lease runs out', pass(world, times.lease + 1)]
    yield ['the margin runs out', pass(world, times.lease + times.skew + 1)]
    yield ['the retention runs out', pass(world, times.retention + times.lease + times.skew + 1)]
  }
  if (world.left.jumps > 0)
    yield ['the wall clock jumps back', spend({ ...world, wallMs: world.wallMs - 500 }, 'jumps')]
  if (world.record !== undefined) {
    yield ['the sweeper runs', sweep(world, world.record, rules)]
    if (world.left.jumps > 0) {
      yield ['an operator releases', resolve(world, world.record, rules, 'released')]
      yield ['an operator cancels', resolve(world, world.record, rules, 'cancelled')]
    }
  }
}

function pass(world: World, ms: number): World {
  return spend({ ...world, wallMs: world.wallMs + ms, leaseMs: world.leaseMs + ms }, 'ticks')
}

function sweep(world: World, before: IdempotencyRecord, rules: Rules): World {
  const { record, answer } = rules.sweep(before, times.skew, timeOf(world))
  const { ghost } = world
  const live = ghost.owner !== '' && world.leaseMs <= ghost.ownerUntil + times.skew
  must('I1 single grant', !live || record?.state === 'running', `the sweeper ended a live claim (${answer})`)
  must('I2 no overwrite', !completedLost(world, record), 'the sweeper took a recorded outcome away before it expired')
  must(
    'I4 at most once',
    !(ghost.dispatchedUnknown && record?.state === 'released'),
    'the sweeper released what may have run under `unknown`',
  )
  if (record === undefined)
    return {
      ...world,
      record,
      fenceFloor: Math.max(world.fenceFloor, before.fence),
      ghost: { ...noGhost, newest: ghost.newest, lastFence: ghost.lastFence },
    }
  const expiresAt = record.state === 'running' ? 0 : lastExpiry(record)
  return { ...world, record, ghost: { ...ghost, expiresAt, owner: record.state === 'running' ? ghost.owner : '' } }
}

function resolve(world: World, before: IdempotencyRecord, rules: Rules, to: 'released' | 'cancelled'): World {
  const stale = {
    recordId: id,
    expected: 'a-stale' as AttemptId,
    fresh: 'a-operator' as AttemptId,
    to,
  }
  must(
    'I3 fencing',
    rules.resolve(before, stale, timeOf(world)).answer.kind !== 'recorded',
    'an operator ended a record that had moved on',
  )
  const { record, answer } = rules.resolve(before, { ...stale, expected: before.attemptId }, timeOf(world))
  const next = spend({ ...world, record }, 'jumps')
  if (answer.kind !== 'recorded') return next
  must(
    'I4 at most once',
    to === 'released' || !world.ghost.dispatchedUnknown || record?.state === 'unknown',
    'a cancel lets what may have run under `unknown` run again',
  )
  const stays = record?.state === 'unknown'
  const ghost = {
    ...world.ghost,
    owner: '',
    newest: 'a-operator',
    dispatchedUnknown: stays && world.ghost.dispatchedUnknown,
    excuses: world.ghost.excuses + (stays ? 0 : 1),
    expiresAt: world.wallMs + times.retention,
  }
  return { ...next, ghost }
}

/** A recorded outcome that was there, has not expired, and is no more. */
function completedLost(world: World, record: IdempotencyRecord | undefined): boolean {
  const { ghost } = world
  const kept = ghost.completedBy !== '' && world.wallMs < ghost.expiresAt
  return kept && !(record?.state === 'completed' && record.attemptId === ghost.completedBy)
}

/** I5 and I12: with a live store and one live caller the record leaves `running`, and no crash makes it unheard of. */
export function alwaysEnds(world: World, rules: Rules): void {
  const { record } = world
  if (record?.state !== 'running') return
  const later = { ...timeOf(world), leaseMs: record.leaseUntil + times.skew + 1 }
  const asked = rules.claim(record, ask('a-late', 'reexecute', same), later)
  must(
    'I12 liveness',
    asked.answer.kind === 'granted' || asked.record?.state === 'unknown',
    'a lapsed record stays running for ever',
  )
  const muchLater = { ...later, leaseMs: record.leaseUntil + times.retention + times.skew + 1 }
  must(
    'I12 liveness',
    rules.sweep(record, times.skew, muchLater).record?.state !== 'running',
    'the sweeper leaves a dead record running',
  )
  const unknown = world.ghost.dispatchedUnknown && world.ghost.owner !== ''
  must(
    'I5 explicit ending',
    !unknown || asked.record?.state === 'unknown',
    'a crash under `unknown` ended in a second effect',
  )
}
