/** Guards left out one by one: each is a mistake that people have made in such a protocol. */
import type { IdempotencyRecord } from '../../packages/oncekey/src/core/record.ts'
import * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import type { Rules, Setting } from './world.ts'

/** One broken guard, where to look for it, and the invariant it breaks. */
export interface Mutant {
  readonly name: string
  readonly invariant: string
  readonly rules: Partial<Rules>
  readonly setting: Setting
}

const unknown: Setting = { owners: 'unknown', waiter: 'unknown' }
const reexecute: Setting = { owners: 'reexecute', waiter: 'reexecute' }
const mixed: Setting = { owners: 'unknown', waiter: 'reexecute' }

type Current = IdempotencyRecord | undefined

/** The record as a careless reader sees it, put back as it was when nothing came of it. */
function seenAs<A>(
  current: Current,
  seen: Current,
  reduce: (record: Current) => reducer.Reduction<A>,
): reducer.Reduction<A> {
  const reduction = reduce(seen)
  return reduction.record === seen ? { ...reduction, record: current } : reduction
}

/** Every guard that the search must miss when it is gone. */
export const mutants: readonly Mutant[] = [
  {
    name: 'settle does not compare the attemptId',
    invariant: 'I3',
    setting: reexecute,
    rules: {
      settle: (record, ask, now) =>
        reducer.settle(record, record === undefined ? ask : { ...ask, attemptId: record.attemptId }, now),
    },
  },
  {
    name: 'a takeover does not wait for the lease',
    invariant: 'I1',
    setting: reexecute,
    rules: { claim: (record, ask, now) => reducer.claim(record, ask, { ...now, leaseMs: 1e9 }) },
  },
  {
    name: 'a takeover does not wait for the margin',
    invariant: 'I1',
    setting: reexecute,
    rules: { claim: (record, ask, now) => reducer.claim(record, { ...ask, skewMs: 0 }, now) },
  },
  {
    name: 'a takeover ignores the policy unknown',
    invariant: 'I5',
    setting: unknown,
    rules: {
      claim: (record, ask, now) =>
        seenAs(record, record?.state === 'running' ? { ...record, onAbandoned: 'reexecute' } : record, (seen) =>
          reducer.claim(seen, ask, now),
        ),
    },
  },
  {
    name: "a takeover obeys the asker's policy and not the recorded one",
    invariant: 'I5',
    setting: mixed,
    rules: {
      claim: (record, ask, now) =>
        seenAs(record, record?.state === 'running' ? { ...record, onAbandoned: ask.onAbandoned } : record, (seen) =>
          reducer.claim(seen, ask, now),
        ),
    },
  },
  {
    name: 'dispatched is acknowledged and not written',
    invariant: 'I5',
    setting: unknown,
    rules: {
      settle: (record, ask, now) => {
        const reduction = reducer.settle(record, ask, now)
        return ask.kind === 'dispatched' ? { ...reduction, record } : reduction
      },
    },
  },
  {
    name: 'the fence forgets what was purged',
    invariant: 'I9',
    setting: reexecute,
    rules: { claim: (record, ask, now) => reducer.claim(record, ask, { ...now, fenceFloor: 0 }) },
  },
  {
    name: 'a running record vanishes by age',
    invariant: 'I1',
    setting: reexecute,
    rules: {
      claim: (record, ask, now) => {
        const old = record?.state === 'running' && now.wallMs - record.createdAt > 5
        return old
          ? reducer.claim(undefined, ask, { ...now, fenceFloor: record.fence })
          : reducer.claim(record, ask, now)
      },
    },
  },
  {
    name: 'a settle writes over a completed outcome',
    invariant: 'I3',
    setting: reexecute,
    rules: {
      settle: (record, ask, now) =>
        reducer.settle(
          record?.state === 'completed' && record.attemptId !== ask.attemptId
            ? { ...record, state: 'running', attemptId: ask.attemptId }
            : record,
          ask,
          now,
        ),
    },
  },
  {
    name: 'the fingerprint is not compared',
    invariant: 'I7',
    setting: reexecute,
    rules: {
      claim: (record, ask, now) =>
        reducer.claim(record, record === undefined ? ask : { ...ask, fingerprint: record.fingerprint }, now),
    },
  },
  {
    name: 'append does not compare the attemptId',
    invariant: 'I3',
    setting: reexecute,
    rules: {
      append: (record, ask) =>
        reducer.append(record, record === undefined ? ask : { ...ask, attemptId: record.attemptId }),
    },
  },
  {
    name: 'an outcome is sealed without looking at its length',
    invariant: 'I10',
    setting: reexecute,
    rules: {
      settle: (record, ask, now) =>
        reducer.settle(
          record,
          ask.kind === 'completed' ? { ...ask, rest: { ...ask.rest, offset: record?.bodyLength ?? 0 } } : ask,
          now,
        ),
    },
  },
  {
    name: 'renew does not compare the attemptId',
    invariant: 'I3',
    setting: reexecute,
    rules: {
      renew: (record, ask, now) =>
        reducer.renew(record, record === undefined ? ask : { ...ask, attemptId: record.attemptId }, now),
    },
  },
  {
    name: 'a new attempt keeps the former one’s bytes',
    invariant: 'I10',
    setting: reexecute,
    rules: {
      claim: (record, ask, now) => {
        const reduction = reducer.claim(record, ask, now)
        const keeps = reduction.answer.kind === 'granted' && reduction.record !== undefined && record !== undefined
        return keeps
          ? { ...reduction, record: { ...(reduction.record as IdempotencyRecord), bodyLength: record.bodyLength } }
          : reduction
      },
    },
  },
  {
    name: 'a repeated claim is not recognised',
    invariant: 'I6',
    setting: reexecute,
    rules: {
      claim: (record, ask, now) => {
        const reduction = reducer.claim(record, ask, now)
        const { answer } = reduction
        if (answer.kind !== 'yours') return reduction
        return { ...reduction, answer: { kind: 'held', record: answer.record, nowMs: now.wallMs, leaseLeftMs: 0 } }
      },
    },
  },
  {
    name: 'a repeated settle is not recognised',
    invariant: 'I6',
    setting: reexecute,
    rules: {
      settle: (record, ask, now) => {
        const reduction = reducer.settle(record, ask, now)
        return reduction.answer.kind === 'already' ? { ...reduction, answer: { kind: 'fenced', record } } : reduction
      },
    },
  },
  {
    name: 'the sweeper does not look at the lease',
    invariant: 'I1',
    setting: unknown,
    rules: { sweep: (record, skewMs, now) => reducer.sweep(record, skewMs, { ...now, leaseMs: 1e9 }) },
  },
  {
    name: 'the sweeper gives up what may have run',
    invariant: 'I4',
    setting: unknown,
    rules: {
      sweep: (record, skewMs, now) =>
        reducer.sweep(record.state === 'running' ? { ...record, onAbandoned: 'reexecute' } : record, skewMs, now),
    },
  },
  {
    name: 'an operator ends a record without saying which attempt',
    invariant: 'I3',
    setting: unknown,
    rules: {
      resolve: (record, ask, now) =>
        reducer.resolve(record, record === undefined ? ask : { ...ask, expected: record.attemptId }, now),
    },
  },
  {
    name: 'a cancel releases what may have run',
    invariant: 'I4',
    setting: unknown,
    rules: {
      resolve: (record, ask, now) =>
        reducer.resolve(record, ask.to === 'cancelled' ? { ...ask, to: 'released' } : ask, now),
    },
  },
  {
    name: 'an abandoned record stays running',
    invariant: 'I12',
    setting: unknown,
    rules: {
      claim: (record, ask, now) => {
        const reduction = reducer.claim(record, ask, now)
        return record?.state === 'running' && reduction.record?.state === 'unknown'
          ? { ...reduction, record }
          : reduction
      },
    },
  },
  {
    name: 'attempt ids count from the record, so two owners share one across a purge',
    invariant: 'I4',
    setting: { ...reexecute, countedIds: true },
    rules: {},
  },
]
