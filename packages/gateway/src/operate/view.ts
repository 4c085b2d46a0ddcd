/** A record as an operator sees it: times as dates, the head decoded, nothing of keys, prompts or answers. */
import { decodeHead, isEncrypted, keyIdOf } from 'oncekey/http'
import type { IdempotencyRecord, RecordId, RecordState } from 'oncekey/store'

/** The states that a list can be narrowed to. */
export const recordStates: readonly RecordState[] = ['running', 'completed', 'released', 'unknown', 'expired']

/** What is shown of a record; JSON as it is. */
export interface RecordView {
  readonly recordId: string
  readonly state: IdempotencyRecord['state']
  readonly attempt: number
  readonly attemptId: string
  readonly fence: number
  readonly onAbandoned: IdempotencyRecord['onAbandoned']
  /** May its effect have begun? Only written under `unknown`. */
  readonly dispatched: boolean
  /** Ended by an operator, a cancel or a hook. */
  readonly resolved: boolean
  readonly createdAt: string
  /** Undefined unless running: negative once the lease is over. */
  readonly leaseLeftMs?: number
  readonly settledAt?: string
  readonly expiresAt?: string
  readonly retryAt?: string
  /** `response 200`, `value`, `error`, `omitted`; and why it cannot be decrypted here, if so. */
  readonly outcome?: string
  /** As the store has them where they cannot be decrypted. */
  readonly bodyBytes: number
}

/** The view of a record. `leaseLeftMs` is known only where the store was asked for this record alone. */
export function viewOf(recordId: RecordId, record: IdempotencyRecord, leaseLeftMs?: number): RecordView {
  const { state, attempt, attemptId, fence, onAbandoned, dispatched, resolved, bodyLength } = record
  const outcome = outcomeOf(record)
  return {
    recordId,
    state,
    attempt,
    attemptId,
    fence,
    onAbandoned,
    dispatched,
    resolved,
    createdAt: new Date(record.createdAt).toISOString(),
    ...(state === 'running' && leaseLeftMs !== undefined ? { leaseLeftMs: Math.round(leaseLeftMs) } : {}),
    ...dated('settledAt', record.settledAt),
    ...dated('expiresAt', record.outcomeExpiresAt),
    ...dated('retryAt', record.retryAt),
    ...(outcome === undefined ? {} : { outcome }),
    bodyBytes: bodyLength,
  }
}

function dated(name: string, atMs: number): Record<string, string> {
  return atMs === 0 ? {} : { [name]: new Date(atMs).toISOString() }
}

function outcomeOf({ outcome, head }: IdempotencyRecord): string | undefined {
  if (outcome === undefined || head === undefined) return outcome
  if (isEncrypted(head)) {
    const missing = keyIdOf(head)
    return `${outcome}, ${missing === undefined ? 'altered in the store' : `encrypted with key "${missing}"`}`
  }
  if (outcome !== 'response') return outcome
  const decoded = decodeHead(head)
  return decoded.kind === 'response' ? `response ${decoded.status}` : outcome
}

/** Lines of `name  value` for a terminal. */
export function linesOf(view: RecordView): string {
  return Object.entries(view)
    .map(([name, value]) => `${name.padEnd(12)}${value}`)
    .join('\n')
}

/** One line of a list, under {@link listHeading}. */
export function lineOf({ recordId, state, attempt, createdAt, outcome = '-' }: RecordView): string {
  return [recordId.padEnd(43), state.padEnd(9), String(attempt).padStart(7), createdAt.padEnd(24), outcome].join('  ')
}

/** The heading of a list. */
export const listHeading: string = [
  'record id'.padEnd(43),
  'state'.padEnd(9),
  'attempt',
  'created'.padEnd(24),
  'outcome',
].join('  ')
