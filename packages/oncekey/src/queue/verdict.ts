/** What an operation's ending means for its message: the table of docs/guide/queues.md. No I/O. */
import { IdempotencyError } from '../core/errors.ts'
import type { IdempotencyRecord } from '../core/record.ts'
import type { RunResult } from '../core/run.ts'
import { isFinal } from '../core/value.ts'
import type { ParkReason, Verdict } from './broker.ts'
import { backoffOf, type Rules } from './rules.ts'

/** A message that people have to look at. */
export function park(reason: ParkReason, sentence: string, recordId?: string): Verdict {
  return { kind: 'park', parked: { reason, sentence, recordId } }
}

/** A message that is to come again. */
export function giveBack(afterMs: number, why: string): Verdict {
  return { kind: 'give_back', afterMs: Math.ceil(afterMs), why }
}

/** The operation has a value, of this execution or another. */
export function afterResult({ status, value, recorded }: RunResult<unknown>, rules: Rules): Verdict {
  if (recorded || status === 'bypassed') return { kind: 'acknowledge', value }
  // Only what is settled is acknowledged. It may yet be, behind us; else the record ends by its policy.
  return giveBack(rules.patienceMs, 'it was executed, but the store was away and nothing is recorded yet')
}

/** The engine refused to execute. */
export function afterRefusal(error: IdempotencyError, rules: Rules): Verdict {
  const { code, message, details } = error
  const hintMs = details.retryAfterMs ?? 0
  switch (code) {
    case 'in_progress':
    case 'superseded':
      return giveBack(Math.max(hintMs, rules.patienceMs), 'its original is executing')
    case 'store_unavailable':
    case 'too_many_waiting':
    case 'shutting_down':
      return giveBack(Math.max(hintMs, rules.backoffMs), message)
    case 'outcome_not_replayable':
      // It was executed, and nobody asks a queue for the value.
      return { kind: 'acknowledge', value: undefined }
    case 'fingerprint_mismatch':
      return park(
        code,
        'Another message had this id and another body. It was not executed: give it an id of its own and send it again.',
        details.recordId,
      )
    default:
      return park(code, message, details.recordId)
  }
}

/** The handler threw. */
export interface Failure {
  readonly error: unknown
  /** Of the attempt; 0 when a duplicate shares the error of an attempt that is not its own. */
  readonly number: number
  /** The record afterwards; undefined when the store did not say. */
  readonly record: IdempotencyRecord | undefined
  readonly recordId: string | undefined
}

/** What becomes of a message whose handler threw. */
export function afterFailure({ error, number, record, recordId }: Failure, rules: Rules): Verdict {
  const said = error instanceof Error ? error.message : String(error)
  if (isFinal(error)) return park('handler_final', said, recordId)
  if (record?.state === 'unknown') {
    const sentence = `Nobody can tell whether it was executed (${said}). It is not run again: find out, and resolve its record.`
    return park('outcome_unknown', sentence, recordId)
  }
  // Another attempt took over and has ended: its outcome stands.
  if (record?.state === 'completed') return giveBack(0, 'another attempt has ended it')
  if (record?.state === 'running' && record.attempt > number && number > 0)
    return giveBack(rules.patienceMs, 'another attempt took it over')
  if (number >= rules.attempts) return exhausted(number, said, recordId)
  // Under `reconcile` the record runs on, for the next attempt to take over when its lease has run out.
  if (record?.state === 'running') return giveBack(rules.patienceMs, said)
  const askedMs = record === undefined ? 0 : record.retryAt - record.settledAt
  return giveBack(Math.max(backoffOf(rules, number), askedMs), said)
}

/** A message that failed as often as it may. */
export function exhausted(number: number, said: string, recordId: string | undefined): Verdict {
  return park('attempts_exhausted', `${number} attempts failed, the last with: ${said}`, recordId)
}

/** What the engine itself refused, as opposed to what a handler threw, which may be of the same class. */
export function isRefusal(error: unknown, thrown: WeakSet<object>): error is IdempotencyError {
  return error instanceof IdempotencyError && !thrown.has(error)
}
