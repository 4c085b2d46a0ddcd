/** One record as the checker sees it: the reducer, with a lease of which only bounds are known. */
import type { IdempotencyRecord } from '../../packages/oncekey/src/core/record.ts'
import * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import type {
  ClaimAnswer,
  ClaimRequest,
  ReadAnswer,
  RenewAnswer,
  RenewRequest,
  SettleAnswer,
  Settlement,
} from '../../packages/oncekey/src/core/store.ts'
import type { Call } from './checker.ts'

/** A record, and between which two moments its lease runs out. */
export interface RecordState {
  readonly record: IdempotencyRecord | undefined
  readonly leaseFrom: number
  readonly leaseTo: number
}

/** Nothing was ever claimed. */
export const absent: RecordState = { record: undefined, leaseFrom: 0, leaseTo: 0 }

/** A call as it was made; `answer` is missing where none was heard. */
export type Heard = { readonly invokedAt: number; readonly returnedAt: number } & (
  | { readonly kind: 'claim'; readonly ask: ClaimRequest; readonly answer?: ClaimAnswer }
  | { readonly kind: 'renew'; readonly ask: RenewRequest; readonly answer?: RenewAnswer }
  | { readonly kind: 'settle'; readonly ask: Settlement; readonly answer?: SettleAnswer }
  | { readonly kind: 'read'; readonly answer?: ReadAnswer }
)

/** What two states must have in common to be the same for every later call. */
export function keyOf({ record, leaseFrom, leaseTo }: RecordState): string {
  return record === undefined ? 'absent' : `${essence(record)} ${leaseFrom} ${leaseTo}`
}

/** What was heard, as calls on one record. Retention must be too long for anything to expire meanwhile. */
export function callOf(heard: Heard): Call<RecordState> {
  const { invokedAt, returnedAt } = heard
  const name = nameOf(heard)
  switch (heard.kind) {
    case 'claim':
      return { name, invokedAt, returnedAt, apply: (state) => claims(state, heard) }
    case 'renew':
      return { name, invokedAt, returnedAt, apply: (state) => renews(state, heard) }
    case 'settle':
      return { name, invokedAt, returnedAt, apply: (state) => settles(state, heard) }
    case 'read':
      return {
        name,
        invokedAt,
        returnedAt,
        apply: (state) => (heard.answer === undefined || same(heard.answer.record, state.record) ? [state] : []),
      }
  }
}

type Of<Kind extends Heard['kind']> = Extract<Heard, { readonly kind: Kind }>

/**
 * Before and after every lease: what the reducer is told where only "over or not" matters. Records here have leases that
 * run out at 0, and the state says when that really is.
 */
const early = { wallMs: 0, leaseMs: 0, fenceFloor: 0 } as const
const late = { wallMs: 0, leaseMs: Number.MAX_SAFE_INTEGER, fenceFloor: 0 } as const

function claims(state: RecordState, { ask, answer, invokedAt, returnedAt }: Of<'claim'>): RecordState[] {
  const mayBeOver = returnedAt > state.leaseFrom + ask.skewMs
  const mayHold = invokedAt <= state.leaseTo + ask.skewMs
  const next: RecordState[] = []
  for (const now of [...(mayHold ? [early] : []), ...(mayBeOver ? [late] : [])]) {
    const reduction = reducer.claim(state.record, ask, now)
    const said = reduction.answer
    if (answer !== undefined && (answer.kind !== said.kind || !sameButFence(answer.record, said.record))) continue
    if (answer?.kind === 'granted' && said.kind === 'granted' && answer.by !== said.by) continue
    if (said.kind !== 'granted') {
      next.push({ ...state, record: reduction.record })
      continue
    }
    // A fence is the claim's own time, which only its answer tells; it must be more than the last one.
    const fence = answer?.record.fence ?? said.record.fence
    if (fence <= (state.record?.fence ?? 0)) continue
    const record = { ...said.record, fence, leaseUntil: 0 }
    next.push({ record, leaseFrom: invokedAt + ask.leaseMs, leaseTo: returnedAt + ask.leaseMs })
  }
  return next
}

function renews(state: RecordState, { ask, answer, invokedAt, returnedAt }: Of<'renew'>): RecordState[] {
  const reduction = reducer.renew(state.record, ask, early)
  if (answer !== undefined && answer.kind !== reduction.answer.kind) return []
  if (reduction.answer.kind !== 'renewed') return [state]
  const record = reduction.record === undefined ? undefined : { ...reduction.record, leaseUntil: 0 }
  return [{ record, leaseFrom: invokedAt + ask.leaseMs, leaseTo: returnedAt + ask.leaseMs }]
}

function settles(state: RecordState, { ask, answer }: Of<'settle'>): RecordState[] {
  const reduction = reducer.settle(state.record, ask, early)
  const said = reduction.answer
  if (answer !== undefined && (answer.kind !== said.kind || !same(answer.record, said.record))) return []
  return [{ ...state, record: reduction.record }]
}

function same(a: IdempotencyRecord | undefined, b: IdempotencyRecord | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return essence(a) === essence(b)
}

/** For the answer of a grant, whose fence the reducer cannot know here. */
function sameButFence(a: IdempotencyRecord, b: IdempotencyRecord): boolean {
  return essence({ ...a, fence: 0 }) === essence({ ...b, fence: 0 })
}

/** All but the times. */
function essence(record: IdempotencyRecord): string {
  const { state, attemptId, fence, attempt, onAbandoned, dispatched, bodyLength, outcome, outcomeDigest } = record
  return [state, attemptId, fence, attempt, onAbandoned, dispatched, bodyLength, outcome, outcomeDigest].join(' ')
}

function nameOf(heard: Heard): string {
  const said = heard.kind === 'read' ? heard.answer?.record?.state : heard.answer?.kind
  const what = heard.kind === 'settle' ? heard.ask.kind : heard.kind
  const who = heard.kind === 'read' ? '' : ` by ${heard.ask.attemptId}`
  return `${what}${who}: ${said ?? 'no answer'}`
}
