/** Looks over a store's shoulder: what each step did to the record, judged without asking the rules under test. */
import type { IdempotencyRecord } from '../../packages/oncekey/src/core/record.ts'
import type * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import type { Rules } from './world.ts'

type Current = IdempotencyRecord | undefined

/** Is the record another attempt's, with its lease, and the margin, not yet over? */
function isHeld(record: IdempotencyRecord, skewMs: number, now: reducer.StoreTime): boolean {
  return record.state === 'running' && now.leaseMs <= record.leaseUntil + skewMs
}

/** Abandoned beyond doubt, and nobody but an operator, a hook or its owner may end it. */
function isUnknown(record: IdempotencyRecord, skewMs: number, now: reducer.StoreTime): boolean {
  return (
    record.state === 'running' && record.onAbandoned === 'unknown' && record.dispatched && !isHeld(record, skewMs, now)
  )
}

/** The same rules; `report` hears of each step that breaks an invariant. */
export function watched(rules: Rules, report: (broken: string) => void): Rules {
  return {
    ...rules,
    claim: (record, ask, now) => {
      const reduction = rules.claim(record, ask, now)
      const { answer } = reduction
      if (record === undefined) return reduction
      const own = record.attemptId === ask.attemptId
      if (answer.kind === 'granted' && isHeld(record, ask.skewMs, now)) report('I1: a live claim was given away')
      if (answer.kind === 'granted' && !own && isUnknown(record, ask.skewMs, now))
        report('I5: what may have run was given to another attempt')
      if (answer.kind === 'held' && own && record.state === 'running') report('I6: an owner was told that it is none')
      if (answer.kind === 'held' && !own && reduction.record?.state === 'running' && isUnknown(record, ask.skewMs, now))
        report('I12: an abandoned record went on running')
      return reduction
    },
    renew: (record, ask, now) => {
      const reduction = rules.renew(record, ask, now)
      if (reduction.answer.kind === 'renewed' && record?.attemptId !== ask.attemptId)
        report("I3: another attempt's lease was renewed")
      return reduction
    },
    settle: (record, ask, now) => {
      const reduction = rules.settle(record, ask, now)
      const again = record?.state === ask.kind && record.attemptId === ask.attemptId
      if (again && 'digest' in ask && ask.digest === record.outcomeDigest && reduction.answer.kind === 'fenced')
        report('I6: a settle that was repeated was refused')
      return reduction
    },
    resolve: (record, ask, now) => {
      const reduction = rules.resolve(record, ask, now)
      if (reduction.answer.kind === 'recorded' && record?.attemptId !== ask.expected)
        report('I3: an operator ended what he had not seen')
      const mayHaveRun = record?.onAbandoned === 'unknown' && record.dispatched
      if (ask.to === 'cancelled' && mayHaveRun && reduction.record?.state === 'released')
        report('I4: a cancel lets what may have run under unknown run again')
      return reduction
    },
    sweep: (record, skewMs, now) => {
      const reduction = rules.sweep(record, skewMs, now)
      if (changed(record, reduction) && isHeld(record, skewMs, now)) report('I1: the sweeper ended a live claim')
      return reduction
    },
  }
}

function changed(record: Current, reduction: reducer.Reduction<unknown>): boolean {
  return reduction.record !== record
}
