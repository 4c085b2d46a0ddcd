/** What an answer means for its line, and what its result line says. */
import { describe, expect, test } from 'vitest'
import type { Answer, Answered } from '../../src/batch/ask.ts'
import { doneLine, failedLine, succeeded } from '../../src/batch/result.ts'
import { calledProvider, verdictOf } from '../../src/batch/verdict.ts'

function whole(status: number, headers: readonly string[] = [], body = '{}', how = 'executed'): Answer {
  return { kind: 'whole', status, headers: ['Idempotency-Status', how, ...headers], body: Buffer.from(body) }
}

function refusal(code: string, retry: boolean, members: object = {}): Answer {
  const body = JSON.stringify({ code, detail: `About ${code}.`, ...members })
  return whole(409, ['X-Should-Retry', String(retry), 'Retry-After-Ms', '1500'], body, 'refused')
}

describe('an answer of the provider', () => {
  test('below 400 is a result, executed or replayed', () => {
    expect(verdictOf(whole(200))).toMatchObject({ kind: 'done', how: 'executed' })
    for (const how of ['replayed', 'joined'])
      expect(verdictOf(whole(200, [], '{}', how))).toMatchObject({ kind: 'done', how: 'replayed' })
  })
  test.each([408, 425, 429, 503, 529])('of %i is asked again: it was not executed', (status) => {
    expect(verdictOf(whole(status)).kind).toBe('again')
  })
  test.each([301, 400, 403, 404, 409, 413, 422, 500, 502, 504])('of %i is the end of its line', (status) => {
    expect(verdictOf(whole(status)).kind).toBe('failed')
  })
  test('that may have been executed is unknown where it is not run again', () => {
    const answer = (status: number): Answered => ({ ...whole(status), onAbandoned: 'unknown' })
    expect([500, 504, 400, 429, 200].map((status) => verdictOf(answer(status)).kind)).toEqual([
      'unknown',
      'unknown',
      'failed',
      'again',
      'done',
    ])
    const headers = ['Idempotency-Status', 'executed']
    expect(verdictOf({ kind: 'broken', headers, onAbandoned: 'unknown' }).kind).toBe('unknown')
    expect(verdictOf({ kind: 'broken', headers, onAbandoned: 'reexecute' }).kind).toBe('failed')
  })
  test.each([401, 402])('of %i is the end of the run: no other line would do better', (status) => {
    expect(verdictOf(whole(status)).kind).toBe('fatal')
  })
  test('that says so itself is asked again', () => {
    expect(verdictOf(whole(500, ['x-should-retry', 'true'])).kind).toBe('again')
    expect(verdictOf(whole(409, ['retry-after', '1'])).kind).toBe('again')
  })
  test('says when: retry-after-ms before Retry-After, in seconds or as a date', () => {
    const hint = (...headers: string[]): number | undefined => {
      const verdict = verdictOf(whole(429, headers))
      return verdict.kind === 'again' ? verdict.hintMs : Number.NaN
    }
    expect(hint('retry-after', '3', 'retry-after-ms', '40')).toBe(40)
    expect(hint('retry-after', '3')).toBe(3_000)
    expect(hint('retry-after', new Date(Date.now() + 5_000).toUTCString())).toBeGreaterThan(3_000)
    expect(hint('retry-after', 'soon')).toBeUndefined()
    expect(hint()).toBeUndefined()
  })
  test('without a word of Oncekey ends the run: nothing would keep a restart from paying again', () => {
    for (const how of ['ignored', 'bypassed']) expect(verdictOf(whole(200, [], '{}', how)).kind).toBe('fatal')
    expect(verdictOf({ kind: 'whole', status: 200, headers: [], body: Buffer.from('{}') }).kind).toBe('fatal')
  })
})

describe('an answer of Oncekey itself', () => {
  test('in_progress: another process runs it', () => {
    expect(verdictOf(refusal('in_progress', true)).kind).toBe('running')
  })
  test('outcome_unknown, and a call that may have run and is not run again: unknown', () => {
    expect(verdictOf(refusal('outcome_unknown', false)).kind).toBe('unknown')
    expect(verdictOf(refusal('upstream_timeout', false, { may_have_run: true })).kind).toBe('unknown')
  })
  test('a call that may have run and would be run again is left to a person', () => {
    expect(verdictOf(refusal('upstream_timeout', true, { may_have_run: true })).kind).toBe('failed')
  })
  test('what passes by itself is asked again', () => {
    expect(verdictOf(refusal('store_unavailable', true))).toMatchObject({ kind: 'again', hintMs: 1_500 })
    expect(verdictOf(refusal('upstream_unreachable', true, { may_have_run: false })).kind).toBe('again')
  })
  test('what every line would get is the end of the run', () => {
    expect(verdictOf(refusal('tenant_required', false)).kind).toBe('fatal')
  })
  test('what does not is the end of its line', () => {
    expect(verdictOf(refusal('fingerprint_mismatch', false)).kind).toBe('failed')
  })
  test('that cannot be read is the end of its line', () => {
    expect(verdictOf(whole(500, [], 'oops', 'refused')).kind).toBe('failed')
  })
})

test('a connection that ends before the head is asked again; one of an executed answer is not', () => {
  expect(verdictOf({ kind: 'broken', headers: undefined }).kind).toBe('again')
  expect(verdictOf({ kind: 'broken', headers: ['Idempotency-Status', 'joined'] }).kind).toBe('again')
  expect(verdictOf({ kind: 'broken', headers: ['Idempotency-Status', 'executed'] }).kind).toBe('failed')
})

test('only calls of the provider count for its limits', () => {
  const called = (answer: Answer): boolean => calledProvider(verdictOf(answer))
  expect(
    [whole(200), whole(400), whole(429), refusal('upstream_timeout', true, { may_have_run: true })].map(called),
  ).toEqual([true, true, true, true])
  expect(
    [whole(200, [], '{}', 'replayed'), whole(400, [], '{}', 'replayed'), refusal('in_progress', true)].map(called),
  ).toEqual([false, false, false])
})

describe('a result line', () => {
  const openai = { dialect: 'openai', id: 'batch_req_1', customId: 'a"b' } as const
  const anthropic = { ...openai, dialect: 'anthropic' } as const
  const answer = (status: number, body: string | Buffer): Extract<Answer, { kind: 'whole' }> => ({
    kind: 'whole',
    status,
    headers: ['x-request-id', 'req_7'],
    body: Buffer.from(body),
  })
  const parsed = (line: Buffer): Record<string, unknown> => {
    const text = line.toString()
    expect(text.endsWith('\n')).toBe(true)
    expect(text.slice(0, -1)).not.toContain('\n')
    return JSON.parse(text) as Record<string, unknown>
  }
  const told = { kind: 'told', code: 'outcome_unknown', message: 'Nobody knows.' } as const

  test("is OpenAI's, with the body as it came", () => {
    const line = doneLine(openai, answer(200, '{\n  "n": 1152921504606846976\n}\n'))
    expect(line.toString()).toContain('1152921504606846976')
    expect(parsed(line)).toEqual({
      id: 'batch_req_1',
      custom_id: 'a"b',
      response: { status_code: 200, request_id: 'req_7', body: { n: 2 ** 60 } },
      error: null,
    })
    expect(succeeded(parsed(line))).toBe(true)
  })
  test("is OpenAI's for an error of the provider, and for one of Oncekey", () => {
    const body = { error: { message: 'no' } }
    const failed = parsed(
      failedLine(openai, { kind: 'answer', how: 'executed', answer: answer(400, JSON.stringify(body)) }),
    )
    expect(failed).toMatchObject({ response: { status_code: 400, body }, error: null })
    const other = parsed(failedLine(openai, told))
    expect(other).toMatchObject({ response: null, error: { code: 'outcome_unknown', message: 'Nobody knows.' } })
    expect([failed, other].map(succeeded)).toEqual([false, false])
  })
  test("is Anthropic's", () => {
    const line = parsed(doneLine(anthropic, answer(200, '{"type":"message"}')))
    expect(line).toMatchObject({ custom_id: 'a"b', result: { type: 'succeeded', message: { type: 'message' } } })
    const error = { type: 'error', error: { type: 'invalid_request_error', message: 'no' }, request_id: 'r' }
    const failed = parsed(
      failedLine(anthropic, { kind: 'answer', how: 'executed', answer: answer(400, JSON.stringify(error)) }),
    )
    expect(failed).toMatchObject({ custom_id: 'a"b', result: { type: 'errored', error } })
    const other = parsed(failedLine(anthropic, told))
    expect(other).toMatchObject({
      result: {
        type: 'errored',
        error: { type: 'error', error: { type: 'outcome_unknown', message: 'Nobody knows.' } },
      },
    })
    expect([line, failed, other].map(succeeded)).toEqual([true, false, false])
  })
  test('takes a body that is no JSON as text, or as base64 where it is none', () => {
    const body = (bytes: string | Buffer): unknown =>
      (parsed(doneLine(openai, answer(200, bytes)))['response'] as { body: unknown }).body
    expect(body('<html>\nsorry')).toBe('<html>\nsorry')
    expect(body(Buffer.from([0xff, 0x00]))).toEqual({ base64: '/wA=' })
  })
})
