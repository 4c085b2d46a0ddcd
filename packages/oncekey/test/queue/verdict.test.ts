/** The table of docs/guide/queues.md, line by line: what an operation's ending means for its message. */
import { describe, expect, test } from 'vitest'
import { type ErrorCode, IdempotencyError } from '../../src/core/errors.ts'
import type { IdempotencyRecord } from '../../src/core/record.ts'
import type { RunResult } from '../../src/core/run.ts'
import { final } from '../../src/core/value.ts'
import { type Rules, rulesOf } from '../../src/queue/rules.ts'
import { afterFailure, afterRefusal, afterResult } from '../../src/queue/verdict.ts'

const rules: Rules = { attempts: 5, backoffMs: 1_000, patienceMs: 32_000, waitMs: 0 }
const result = (over: Partial<RunResult<unknown>>): RunResult<unknown> => ({
  value: 'v',
  status: 'executed',
  recordId: 'r',
  attempt: 1,
  fence: 1,
  recorded: true,
  ...over,
})
const failure = (number: number, record: Partial<IdempotencyRecord> | undefined, error: unknown = new Error('no')) =>
  afterFailure({ error, number, record: record as IdempotencyRecord | undefined, recordId: 'r' }, rules)
const released = { state: 'released', retryAt: 0, settledAt: 0 } as const

describe('a value', () => {
  test.each(['executed', 'replayed', 'joined'] as const)('%s acknowledges', (status) => {
    expect(afterResult(result({ status }), rules)).toEqual({ kind: 'acknowledge', value: 'v' })
  })
  test('that is not recorded gives back, after lease and margin, for only what is settled is acknowledged', () => {
    expect(afterResult(result({ recorded: false }), rules)).toMatchObject({ kind: 'give_back', afterMs: 32_000 })
  })
  test('that failOpen executed acknowledges, for nothing will ever be recorded', () => {
    expect(afterResult(result({ status: 'bypassed', recorded: false }), rules).kind).toBe('acknowledge')
  })
})

describe('a refusal', () => {
  const refused = (code: ErrorCode, retryAfterMs?: number) =>
    afterRefusal(
      new IdempotencyError(code, 'why', { recordId: 'r', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }),
      rules,
    )
  test.each([
    ['in_progress', 32_000],
    ['superseded', 32_000],
    ['store_unavailable', 1_000],
    ['too_many_waiting', 1_000],
    ['shutting_down', 1_000],
  ] as const)('%s gives back after %i ms, or later if the engine says so', (code, afterMs) => {
    expect(refused(code)).toMatchObject({ kind: 'give_back', afterMs })
    expect(refused(code, 60_000)).toMatchObject({ kind: 'give_back', afterMs: 60_000 })
  })
  test('outcome_not_replayable acknowledges: it was executed, and nobody asks for the value', () => {
    expect(refused('outcome_not_replayable')).toEqual({ kind: 'acknowledge', value: undefined })
  })
  test.each(['outcome_unknown', 'fingerprint_mismatch', 'key_malformed', 'outcome_expired', 'internal'] as const)(
    '%s parks with the record id',
    (reason) => {
      expect(refused(reason)).toMatchObject({ kind: 'park', parked: { reason, recordId: 'r' } })
    },
  )
})

describe('a handler that threw', () => {
  test('comes again after a back-off that doubles up to five minutes, until its attempts are used up', () => {
    expect([1, 2, 3, 4].map((number) => failure(number, released))).toMatchObject(
      [1_000, 2_000, 4_000, 8_000].map((afterMs) => ({ kind: 'give_back', afterMs, why: 'no' })),
    )
    expect(failure(5, released)).toMatchObject({
      kind: 'park',
      parked: { reason: 'attempts_exhausted', recordId: 'r' },
    })
    const patient = { ...rules, attempts: 100 }
    expect(afterFailure({ error: 'no', number: 60, record: undefined, recordId: 'r' }, patient)).toMatchObject({
      afterMs: 300_000,
    })
  })
  test('comes no sooner than `classify` said', () => {
    expect(failure(1, { ...released, settledAt: 1e12, retryAt: 1e12 + 45_000 })).toMatchObject({ afterMs: 45_000 })
  })
  test('after its effect may have begun, under unknown, is parked at once', () => {
    expect(failure(1, { state: 'unknown' })).toMatchObject({ kind: 'park', parked: { reason: 'outcome_unknown' } })
  })
  test('of another that ended meanwhile comes again at once, to be acknowledged, also after its last attempt', () => {
    expect(failure(5, { state: 'completed' })).toMatchObject({ kind: 'give_back', afterMs: 0 })
  })
  test('of another that runs now comes again after lease and margin, also after its last attempt', () => {
    expect(failure(5, { state: 'running', attempt: 6 })).toMatchObject({ kind: 'give_back', afterMs: 32_000 })
    // The control: its own record, left running under reconcile.
    expect(failure(5, { state: 'running', attempt: 5 })).toMatchObject({ kind: 'park' })
  })
  test('with a final error is parked at once, whatever the record says', () => {
    for (const record of [{ state: 'completed' } as const, undefined])
      expect(failure(1, record, final(new Error('refused')))).toMatchObject({
        kind: 'park',
        parked: { reason: 'handler_final', sentence: 'refused' },
      })
  })
})

describe('options that cannot be right are refused', () => {
  const policy = { leaseMs: 30_000, skewMs: 2_000, waitMs: 600_000 }
  const of = (more: object) => rulesOf({ store: undefined as never, onAbandoned: 'unknown', ...more }, policy)
  test.each([
    [{ attempts: 0 }, /attempts/],
    [{ attempts: 1.5 }, /attempts/],
    [{ backoffMs: -1 }, /backoffMs/],
    [{ onRunning: 'join' }, /onRunning must be 'delay' or 'wait', not "join"/],
  ])('%o', (more, sentence) => {
    expect(() => of(more)).toThrow(sentence)
  })
  test('and the others filled in', () => {
    expect(of({})).toEqual(rules)
    expect(of({ onRunning: 'wait' }).waitMs).toBe(600_000)
  })
})
