/** Problem documents: what people, generic clients and the official SDKs read in them. */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { errorCatalogue } from '../../src/core/catalogue.ts'
import { type ErrorCode, IdempotencyError } from '../../src/core/errors.ts'
import { type ProblemAnswer, problem } from '../../src/http/problem.ts'

function headersOf(answer: ProblemAnswer): Headers {
  const headers = new Headers()
  for (let at = 0; at < answer.headers.length; at += 2)
    headers.append(answer.headers[at] as string, answer.headers[at + 1] as string)
  return headers
}

const documentOf = (answer: ProblemAnswer): Record<string, unknown> => JSON.parse(new TextDecoder().decode(answer.body))
const fetchOf = (answer: ProblemAnswer) => async () =>
  new Response(new Uint8Array(answer.body), { status: answer.status, headers: headersOf(answer) })

describe('a problem document', () => {
  it.each(Object.keys(errorCatalogue) as ErrorCode[])('%s says the same in every member', (code) => {
    const answer = problem(new IdempotencyError(code, 'What happened. What to do.'), {
      requestPath: '/v1/chat/completions',
    })
    const { status, title, retryable } = errorCatalogue[code]
    const url = `https://oncekey.dev/errors/${code}`
    expect(answer.status).toBe(status)
    expect(documentOf(answer)).toMatchObject({
      type: url,
      title,
      status,
      detail: 'What happened. What to do.',
      code,
      error: { message: 'What happened. What to do.', type: 'idempotency_error', code, param: null },
    })
    const headers = headersOf(answer)
    expect(headers.get('content-type')).toBe('application/problem+json')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('link')).toBe(`<${url}>; rel="describedby"`)
    expect(headers.get('idempotency-status')).toBe('refused')
    expect(headers.get('x-should-retry')).toBe(String(retryable))
    if (!retryable) expect(headers.has('retry-after') || headers.has('retry-after-ms')).toBe(false)
  })

  it.each<[ErrorCode, number | undefined, string | null, string | null]>([
    ['in_progress', undefined, '1', '1000'],
    ['in_progress', 0, '1', '1'],
    ['in_progress', 1200.4, '2', '1201'],
    ['in_progress', 3_600_000, '60', '60000'],
    ['store_unavailable', undefined, '1', '1000'],
    ['too_many_waiting', 5000, '5', '5000'],
    ['upstream_timeout', undefined, null, null],
    ['upstream_timeout', 2000, '2', '2000'],
    ['outcome_unknown', 2000, null, null],
  ])('%s after %s ms hints %s s', (code, retryAfterMs, seconds, ms) => {
    const details = retryAfterMs === undefined ? {} : { retryAfterMs }
    const headers = headersOf(problem(new IdempotencyError(code, 'm', details)))
    expect([headers.get('retry-after'), headers.get('retry-after-ms')]).toEqual([seconds, ms])
  })

  it('an unknown outcome says that a new key is not safe', () => {
    expect(documentOf(problem(new IdempotencyError('outcome_unknown', 'm')))).toHaveProperty(
      'safe_to_use_new_key',
      false,
    )
    expect(documentOf(problem(new IdempotencyError('in_progress', 'm')))).not.toHaveProperty('safe_to_use_new_key')
  })

  it('retryable follows the error where one code covers both', () => {
    const answer = problem(
      new IdempotencyError('upstream_timeout', 'm', { retryable: false, retryAfterMs: 1000, mayHaveRun: true }),
    )
    expect(documentOf(answer)).toHaveProperty('may_have_run', true)
    expect(headersOf(answer).get('x-should-retry')).toBe('false')
    expect(headersOf(answer).has('retry-after')).toBe(false)
  })

  it.each([
    ['/v1/messages', true],
    ['/anthropic/v1/messages', true],
    ['/v1/messages/batches', true],
    ['/v1/messages/count_tokens', true],
    ['/v1/chat/completions', false],
    ['/v1/threads/t1/messages', false],
    ['/v1/threads/t1/messages/m1', false],
    ['/messages-of-mine', false],
  ])('%s has Anthropic’s type: %s', (requestPath, isAnthropic) => {
    const answer = problem(new IdempotencyError('in_progress', 'm'), { requestPath })
    expect(documentOf(answer).type).toBe(isAnthropic ? 'error' : 'https://oncekey.dev/errors/in_progress')
    expect(headersOf(answer).get('link')).toContain('https://oncekey.dev/errors/in_progress')
  })
})

describe('the official SDKs print the sentence', () => {
  const error = new IdempotencyError('fingerprint_mismatch', 'The key was used for another request. Use a new key.')

  it('OpenAI', async () => {
    const fetch = fetchOf(problem(error, { requestPath: '/v1/chat/completions' }))
    const client = new OpenAI({ apiKey: 'k', maxRetries: 0, fetch })
    await expect(client.chat.completions.create({ model: 'm', messages: [] })).rejects.toMatchObject({
      status: 422,
      code: 'fingerprint_mismatch',
      message: '422 The key was used for another request. Use a new key.',
    })
  })

  it('Anthropic', async () => {
    const fetch = fetchOf(problem(error, { requestPath: '/v1/messages' }))
    const client = new Anthropic({ apiKey: 'k', maxRetries: 0, fetch })
    await expect(client.messages.create({ model: 'm', max_tokens: 1, messages: [] })).rejects.toMatchObject({
      status: 422,
      type: 'idempotency_error',
      message: '422 The key was used for another request. Use a new key.',
    })
  })
})
