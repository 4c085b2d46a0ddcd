/** Header fields: what goes to the next hop, what is kept for a replay, and how long a caller wants to wait. */
import { describe, expect, it } from 'vitest'
import {
  answerHeaders,
  endToEndHeaders,
  fieldValue,
  fieldValues,
  httpDate,
  parseWait,
  replayHeaders,
} from '../../src/http/headers.ts'

/** Raw list from lines, for reading. */
function raw(...lines: string[]): string[] {
  return lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
}

describe('reading fields', () => {
  const headers = raw('Accept: a', 'X-Key: 1', 'x-key: 2', 'Empty:')

  it('finds every line, whatever its case', () => {
    expect(fieldValues(headers, 'X-KEY')).toEqual(['1', '2'])
    expect(fieldValues(headers, 'missing')).toEqual([])
  })

  it('joins lines as a server that joins them would', () => {
    expect(fieldValue(headers, 'x-key')).toBe('1, 2')
    expect(fieldValue(headers, 'empty')).toBeUndefined()
    expect(fieldValue(headers, 'missing')).toBeUndefined()
  })
})

describe('hop by hop', () => {
  it('drops connection fields, Proxy-* and what Connection names, and keeps the rest in order', () => {
    const headers = raw(
      'Host: h',
      'Connection: close, X-Drop',
      'connection: x-too',
      'Keep-Alive: 5',
      'TE: trailers',
      'Transfer-Encoding: chunked',
      'Upgrade: h2c',
      'Proxy-Authorization: p',
      'Proxy-Anything: p',
      'x-drop: 1',
      'X-Too: 1',
      'X-Keep: 1',
      'Trailer: X-Sum',
      'x-keep: 2',
    )
    expect(endToEndHeaders(headers)).toEqual(raw('Host: h', 'X-Keep: 1', 'Trailer: X-Sum', 'x-keep: 2'))
  })

  it('an answer loses the upstream’s own idempotency fields, so that they never pass for ours', () => {
    const headers = raw(
      'Idempotency-Status: replayed',
      'idempotent-replayed: true',
      'Idempotency-Key: k',
      'Set-Cookie: a=1',
      'X: 1',
      'Keep-Alive: 5',
    )
    expect(answerHeaders(headers)).toEqual(raw('Set-Cookie: a=1', 'X: 1'))
  })
})

describe('the fields of a replay', () => {
  it('are the allow-listed ones', () => {
    const kept = raw(
      'Content-Type: application/json',
      'content-encoding: br',
      'Content-Language: en',
      'Content-Disposition: inline',
      'Location: /x',
      'ETag: "e"',
      'request-id: r',
      'X-Request-Id: r',
      'openai-processing-ms: 12',
      'OpenAI-Version: 2020-10-01',
      'anthropic-organization-id: o',
      'x-goog-safety: 1',
    )
    const dropped = raw(
      'Set-Cookie: a=1',
      'Date: now',
      'Authorization: b',
      'Retry-After: 1',
      'retry-after-ms: 1',
      'x-ratelimit-remaining-requests: 1',
      'RateLimit: 1',
      'RateLimit-Policy: 1',
      'X-Rate-Limit-Limit: 1',
      'anthropic-ratelimit-tokens-reset: 1',
      'anthropic-priority-input-tokens-remaining: 1',
      'openai-tokens-limit: 1',
      'Server: s',
      'Age: 1',
      'Cache-Control: public',
      'x-should-retry: false',
      'Content-Length: 5',
      'Transfer-Encoding: chunked',
      'Trailer: x',
      'Idempotent-Replayed: true',
      'Idempotency-Expires: x',
      'cf-ray: 1',
      'Connection: openai-secret',
      'openai-secret: 1',
    )
    expect(replayHeaders([...dropped, ...kept])).toEqual(kept)
  })

  it('may be more by configuration, but never what belongs to one caller or moment', () => {
    const allow = [
      'X-Acme-*',
      'server',
      'Set-Cookie',
      'date',
      'retry-*',
      'x-ratelimit-limit',
      'idempotency-status',
      'connection',
      '*',
    ]
    expect(
      replayHeaders(
        raw(
          'X-Acme-Cost: 1',
          'Server: s',
          'set-cookie: a',
          'Date: d',
          'Retry-After: 1',
          'X-RateLimit-Limit: 1',
          'Idempotency-Status: x',
          'Connection: close',
        ),
        allow,
      ),
    ).toEqual(raw('X-Acme-Cost: 1', 'Server: s'))
  })
})

describe('Prefer: wait', () => {
  it.each<[string[], number | undefined]>([
    [[], undefined],
    [['wait=10'], 10],
    [['WAIT = 10'], 10],
    [['respond-async, wait=100'], 100],
    [['respond-async', 'wait=7'], 7],
    [['wait="20"'], 20],
    [['wait=20; x=1'], 20],
    [['wait=0'], 0],
    [['wait=10, wait=20'], 10],
    [['wait=x, wait=20'], undefined],
    [['wait'], undefined],
    [['wait='], undefined],
    [['wait=-1'], undefined],
    [['wait=1.5'], undefined],
    [['wait=1 2'], undefined],
    [['handling="a, wait=5"'], undefined],
    [['handling="a\\", wait=5", wait=6'], 6],
    [['wait-not=5'], undefined],
    [[`wait=${'9'.repeat(400)}`], 2147483647],
    [[''], undefined],
  ])('%j is %s', (prefer, seconds) => {
    expect(parseWait(prefer)).toBe(seconds)
  })

  it.each([[`wait${' '.repeat(60_000)}x`], [`wait="${'\\"'.repeat(30_000)}`], [','.repeat(60_000)]])(
    'takes linear time',
    (value) => {
      const start = performance.now()
      expect(parseWait([value])).toBeUndefined()
      expect(performance.now() - start).toBeLessThan(200)
    },
  )
})

it('HTTP dates are IMF-fixdates, also beyond what HTTP can say', () => {
  expect(httpDate(784111777000)).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
  expect(httpDate(Number.POSITIVE_INFINITY)).toBe('Fri, 31 Dec 9999 23:59:59 GMT')
})
