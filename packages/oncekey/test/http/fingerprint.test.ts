/** Request fingerprints: the same wish always has the same one, another wish never does. */
import { brotliCompressSync, brotliDecompressSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IdempotencyError } from '../../src/core/errors.ts'
import { ContentReader, isStreamable } from '../../src/http/content.ts'
import {
  type DecodeBody,
  type FingerprintOptions,
  type FingerprintRequest,
  requestFingerprint,
} from '../../src/http/fingerprint.ts'
import { nodeDigest } from '../../src/platform/node.ts'
import { cpuMs } from '../cpu.ts'

const keyed = { digest: nodeDigest, pepper: new Uint8Array(32).fill(7) }

const decode: DecodeBody = (coding, bytes, maxBytes) => {
  const inflate = { gzip: gunzipSync, br: brotliDecompressSync, deflate: inflateSync }[coding]
  try {
    return inflate?.(bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE')
      throw new IdempotencyError('body_too_large', 'decoded')
    return undefined
  }
}

interface Given extends Partial<Omit<FingerprintRequest, 'body'>> {
  readonly type?: string
  readonly coding?: string
  readonly body?: string | Uint8Array
  readonly extra?: string[]
}

function both(given: Given = {}, options: Partial<FingerprintOptions> = {}) {
  const {
    type = 'application/json',
    coding,
    body = '{"a":1}',
    extra = [],
    method = 'POST',
    path = '/v1/x',
    query = '',
  } = given
  const headers = [
    ...(type === '' ? [] : ['Content-Type', type]),
    ...(coding === undefined ? [] : ['Content-Encoding', coding]),
    ...extra,
  ]
  const request = { method, path, query, headers, body: typeof body === 'string' ? Buffer.from(body) : body }
  return requestFingerprint(keyed, request, { maxBodyBytes: 1 << 20, decode, ...options })
}

const of = (given: Given = {}, options: Partial<FingerprintOptions> = {}) => both(given, options).fingerprint

const formType = 'application/x-www-form-urlencoded'

function form(boundary: string, ...parts: [headers: string, content: string][]): Given {
  const body = parts.map(([headers, content]) => `--${boundary}\r\n${headers}\r\n\r\n${content}\r\n`).join('')
  return { type: `multipart/form-data; boundary=${boundary}`, body: `${body}--${boundary}--\r\n` }
}

describe('one wish has one fingerprint', () => {
  const plain = of({ body: '{"a":1,"b":[true,"é"]}' })

  it.each<[string, Given]>([
    ['order and spacing', { body: '{ "b": [true, "\\u00e9"],\n "a": 1.0 }' }],
    ['spelling of the media type', { type: 'Application/JSON; charset=utf-8' }],
    ['gzip', { coding: 'gzip', body: gzipSync('{"a":1,"b":[true,"é"]}') }],
    ['brotli', { coding: 'br', body: brotliCompressSync('{"b":[true,"é"],"a":1}') }],
    ['two codings', { coding: 'gzip, BR', body: brotliCompressSync(gzipSync('{"a":1,"b":[true,"é"]}')) }],
    ['identity', { coding: 'identity' }],
    [
      'credentials',
      { extra: ['Authorization', 'Bearer new', 'x-api-key', 'k'], query: 'key=secret&api_key=a&access_token=b' },
    ],
    ['an encoded name of a credential', { query: '%6bey=secret' }],
    [
      'an SDK’s own headers',
      { extra: ['x-stainless-retry-count', '2', 'User-Agent', 'u', 'traceparent', 't', 'Idempotency-Key', 'k'] },
    ],
  ])('whatever the %s', (_, given) => {
    expect(of({ body: '{"a":1,"b":[true,"é"]}', ...given })).toBe(plain)
  })

  it('whatever the order of query names', () => {
    expect(of({ query: 'b=1&a=2&a=1' })).toBe(of({ query: 'a=2&b=1&a=1' }))
  })

  it('whatever the boundary of a multipart body', () => {
    const content = fc.string({ unit: fc.constantFrom('\r', '\n', '-', 'x', '"'), maxLength: 12 })
    const boundary = fc.stringMatching(/^[0-9A-Z]{16,40}$/)
    fc.assert(
      fc.property(boundary, boundary, content, content, (a, b, first, second) => {
        const parts: [string, string][] = [
          ['Content-Disposition: form-data; name="model"', first],
          ['Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav', second],
        ]
        expect(of(form(a, ...parts))).toBe(of(form(b, ...parts)))
        if (a !== b) expect(both(form(a, ...parts)).raw).not.toBe(both(form(b, ...parts)).raw)
      }),
    )
  })

  it('whatever the escapes of a form', () => {
    const type = formType
    const fingerprint = of({ type, body: 'a=x+y&b=%C3%A9&c' })
    expect(of({ type, body: 'a=x%20y&b=%c3%a9&c=' })).toBe(fingerprint)
    expect(of({ type: `${type}; charset=UTF-8`, body: '%61=x+y&&b=é&c=' })).toBe(fingerprint)
  })

  it('whatever stands at ignored paths', () => {
    const ignore = ['metadata.trace']
    expect(of({ body: '{"a":1,"metadata":{"trace":1}}' }, { ignore })).toBe(
      of({ body: '{"a":1,"metadata":{"trace":2}}' }, { ignore }),
    )
    expect(of({ body: '{"a":1,"metadata":{"trace":1}}' })).not.toBe(of({ body: '{"a":1,"metadata":{"trace":2}}' }))
  })
})

describe('two wishes have two', () => {
  it.each<[string, Given, Given]>([
    ['method', { method: 'POST' }, { method: 'PATCH' }],
    ['path', { path: '/a' }, { path: '/b' }],
    ['path and query', { path: '/a', query: 'b' }, { path: '/a?b', query: '' }],
    ['query', { query: 'a=1' }, { query: 'a=2' }],
    ['order within one name', { query: 'a=1&a=2' }, { query: 'a=2&a=1' }],
    ['query escapes that only look alike', { query: 'a=%25FF' }, { query: 'a=%FF' }],
    ['media type', { type: 'application/json' }, { type: 'text/plain' }],
    ['no media type', { type: '' }, { type: 'text/plain' }],
    ['a parameter of the media type', { type: 'text/plain; v=1' }, { type: 'text/plain; v=2' }],
    ['anthropic-version', { extra: ['anthropic-version', '1'] }, { extra: ['anthropic-version', '2'] }],
    ['anthropic-beta, there or not', { extra: ['anthropic-beta', 'x'] }, {}],
    [
      'openai-organization or openai-project',
      { extra: ['openai-organization', 'x'] },
      { extra: ['openai-project', 'x'] },
    ],
    ['openai-beta', { extra: ['OpenAI-Beta', 'a'] }, { extra: ['OpenAI-Beta', 'b'] }],
    ['api-version', { extra: ['api-version', 'a'] }, { extra: ['api-version', 'b'] }],
    ['stream', { body: '{"stream":true}' }, { body: '{"stream":false}' }],
    ['integers beyond 2^53', { body: '{"id":9007199254740993}' }, { body: '{"id":9007199254740992}' }],
    ['digits beyond a double', { body: '[0.1000000000000000055]' }, { body: '[0.1]' }],
    ['duplicate names', { body: '{"a":1,"a":2}' }, { body: '{"a":2}' }],
    ['the sign of zero', { body: '[-0]' }, { body: '[0]' }],
    ['lone surrogates', { body: '["\\ud800"]' }, { body: '["\\udbff"]' }],
    ['invalid UTF-8', { body: Uint8Array.of(0x22, 0xff, 0x22) }, { body: Uint8Array.of(0x22, 0xfe, 0x22) }],
    ['an unknown coding', { coding: 'zstd', body: 'x' }, { coding: 'compress', body: 'x' }],
    ['an unknown coding, there or not', { coding: 'zstd', body: '{}' }, { body: '{}' }],
    ['bytes that are not in their coding', { coding: 'gzip', body: '{}' }, { body: '{}' }],
    ['form order', { type: formType, body: 'a=1&b=2' }, { type: formType, body: 'b=2&a=1' }],
    ['form bytes that are no UTF-8', { type: formType, body: 'a=%FF' }, { type: formType, body: 'a=%FE' }],
    ['form separators', { type: formType, body: 'a=1&b' }, { type: formType, body: 'a=1%26b' }],
    [
      'a multipart name',
      form('b', ['Content-Disposition: form-data; name="a"', 'x']),
      form('b', ['Content-Disposition: form-data; name="b"', 'x']),
    ],
    [
      'a multipart file name',
      form('b', ['Content-Disposition: form-data; name="a"; filename="1"', 'x']),
      form('b', ['Content-Disposition: form-data; name="a"; filename="2"', 'x']),
    ],
    ['a multipart type', form('b', ['Content-Type: a/b', 'x']), form('b', ['Content-Type: a/c', 'x'])],
    ['multipart content', form('b', ['A: 1', 'x']), form('b', ['A: 1', 'y'])],
    ['multipart order', form('b', ['A: 1', 'x'], ['B: 1', 'y']), form('b', ['B: 1', 'y'], ['A: 1', 'x'])],
    [
      'multipart form-data or mixed',
      form('b', ['A: 1', 'x']),
      { ...form('b', ['A: 1', 'x']), type: 'multipart/mixed; boundary=b' },
    ],
    [
      'malformed multipart',
      { ...form('b', ['A: 1', 'x']), body: '--b\r\n\r\nx' },
      { ...form('b', ['A: 1', 'x']), body: '--b\r\n\r\ny' },
    ],
  ])('that differ in %s', (_, a, b) => {
    expect(of(a)).not.toBe(of(b))
    expect(of(a)).toBe(of(a))
    expect(both(a).raw).not.toBe(both(b).raw)
  })

  it('a body is read one way only: the text of another reading is another wish', () => {
    const texts = ['{"a":"1"}', '["a","1"]']
    const types = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', '']
    const all = texts.flatMap((body) => types.map((type) => of({ type, body })))
    expect(new Set(all).size).toBe(all.length)
  })
})

describe('the fingerprint of what was sent', () => {
  it('equal means that the other one is equal too', () => {
    const given = fc.record({
      type: fc.constantFrom(
        'application/json',
        'application/json ',
        'text/plain',
        'multipart/form-data; boundary=b',
        'application/x-www-form-urlencoded',
      ),
      body: fc.constantFrom('{"a":1}', '{"a": 1}', 'a=1', '--b\r\n\r\nx\r\n--b--'),
      query: fc.constantFrom('', 'a=1', 'a=1&key=x', 'key=y&a=1', 'b=2&a=1', 'a=1&b=2'),
      coding: fc.constantFrom('gzip', 'identity', 'zstd'),
    })
    fc.assert(
      fc.property(given, given, (a, b) => {
        const [left, right] = [both(a), both(b)]
        if (left.raw === right.raw) expect(left.fingerprint).toBe(right.fingerprint)
        expect(left.raw).not.toBe(right.fingerprint)
      }),
      { numRuns: 500 },
    )
  })

  it('is the same of a body that was read while it came in, whatever its type may be', () => {
    const form = '--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n'
    for (const [type, text] of [
      ['text/plain', '{"a":1}'],
      ['multipart/form-data; boundary=b', form],
      ['multipart/form-data; boundary=b', `${form}epilogue`],
      ['multipart/form-data', form],
      ['application/octet-stream', ''],
    ] as const) {
      const body = Buffer.from(text)
      const headers = ['Content-Type', type]
      expect(isStreamable(headers)).toBe(true)
      const request = { method: 'POST', path: '/', query: '', headers, body }
      const reader = new ContentReader(nodeDigest, headers)
      for (const byte of body) reader.push(Uint8Array.of(byte))
      const streamed = { ...request, body: new Uint8Array(), streamed: reader.end() }
      const options = { maxBodyBytes: 100 }
      expect(requestFingerprint(keyed, streamed, options), type).toEqual(requestFingerprint(keyed, request, options))
    }
    for (const headers of [
      ['Content-Type', 'application/json'],
      ['Content-Type', 'application/x-www-form-urlencoded'],
      ['Content-Type', 'text/plain', 'Content-Encoding', 'gzip'],
    ])
      expect(isStreamable(headers)).toBe(false)
  })

  it('depends on the pepper, as the other one does', () => {
    const request = { method: 'POST', path: '/', query: '', headers: [], body: new Uint8Array() }
    const [a, b] = [keyed, { ...keyed, pepper: new Uint8Array(32) }].map((k) =>
      requestFingerprint(k, request, { maxBodyBytes: 1 }),
    )
    expect(a?.raw).not.toBe(b?.raw)
    expect(a?.fingerprint).not.toBe(b?.fingerprint)
  })
})

describe('limits', () => {
  const tooLarge = expect.objectContaining({ code: 'body_too_large' })

  it('hold for the sent and for the decoded length', () => {
    expect(() => of({ body: 'x'.repeat(101) }, { maxBodyBytes: 100 })).toThrow(tooLarge)
    expect(of({ body: 'x'.repeat(100) }, { maxBodyBytes: 100 })).toMatch(/^1/)
    expect(() => of({ coding: 'gzip', body: gzipSync('x'.repeat(5000)) }, { maxBodyBytes: 100 })).toThrow(tooLarge)
    expect(() => of({ coding: 'gzip' }, { maxBodyBytes: 100, decode: () => new Uint8Array(101) })).toThrow(tooLarge)
  })

  it('more codings than anybody stacks are not undone', () => {
    const body = deflateSync(deflateSync(deflateSync(deflateSync('{}'))))
    let calls = 0
    const counting: DecodeBody = (...given) => {
      calls++
      return decode(...given)
    }
    of({ coding: 'deflate, deflate, deflate, deflate', body }, { decode: counting })
    expect(calls).toBe(0)
  })

  it('nothing a client sends makes it throw', () => {
    const wild = fc.string({
      unit: fc.constantFrom(
        '{',
        '"',
        '\\',
        ';',
        '=',
        ',',
        '&',
        '%',
        '+',
        ' ',
        '\r',
        '\n',
        '-',
        'b',
        '\ud800',
        '\u00ff',
        '/',
      ),
      maxLength: 20,
    })
    const type = fc.oneof(
      wild,
      fc.constantFrom('application/json', 'multipart/form-data; boundary=b', 'application/x-www-form-urlencoded'),
    )
    fc.assert(
      fc.property(type, wild, wild, wild, fc.oneof(wild, fc.uint8Array()), (given, coding, query, path, body) => {
        expect(of({ type: given, coding, query, path, body })).toMatch(/^1[\w-]{43}$/)
      }),
      { numRuns: 2000 },
    )
  })

  it.each<[string, Given]>([
    ['form pairs', { type: formType, body: 'a&'.repeat(500_000) }],
    ['form escapes', { type: formType, body: '%41'.repeat(340_000) }],
    ['empty parts', { type: 'multipart/form-data; boundary=b', body: `${'--b\r\n\r\n\r\n'.repeat(100_000)}--b--` }],
    ['query names', { query: Array.from({ length: 20_000 }, (_, n) => `k${20_000 - n}`).join('&') }],
  ])('many %s take no longer than many bytes', (_, given) => {
    expect(cpuMs(() => of(given))).toBeLessThan(2000)
  })
})
