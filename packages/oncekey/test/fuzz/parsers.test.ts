/** Everything that reads a header or a body, on whatever a client or a provider may send: no throw but ours, no time but linear. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalJson, utf8Text } from '../../src/core/canonical.ts'
import { IdempotencyError } from '../../src/core/errors.ts'
import { ignoredPaths } from '../../src/core/ignore.ts'
import { checkKey, parseKey, parseKeyFields } from '../../src/core/key.ts'
import { requestFingerprint } from '../../src/http/fingerprint.ts'
import { answerHeaders, endToEndHeaders, parseWait, replayHeaders } from '../../src/http/headers.ts'
import { parseMediaType } from '../../src/http/media.ts'
import { MultipartReader, type Part } from '../../src/http/multipart.ts'
import { decodedText, queryPairs } from '../../src/http/query.ts'
import { planOf, routeDefaults } from '../../src/http/route.ts'
import { tenantOf } from '../../src/http/tenant.ts'
import { nodeCodings } from '../../src/platform/codings.ts'
import { nodeDigest } from '../../src/platform/node.ts'
import { offsetAfterEvent, streamScanner, usageOf } from '../../src/providers/index.ts'
import { cpuMs } from '../cpu.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const keyed = { digest: nodeDigest, pepper: new Uint8Array(32) }
const codings = nodeCodings

/** In pieces of so many bytes. */
function multipartParts(
  body: Uint8Array,
  boundary: string,
  cut: number = body.length + 1,
): readonly Part[] | undefined {
  const reader = new MultipartReader(nodeDigest, boundary)
  for (let at = 0; at < body.length; at += cut) reader.push(body.subarray(at, at + cut))
  return reader.end()
}

/** What a parser of Node lets through in a field value: no controls but the tab, one character a byte. */
const fieldValue = fc.oneof(
  fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)), maxLength: 300 }),
  fc
    .array(
      fc.constantFrom('"', '\\', ',', ';', '=', ' ', '\t', 'a', 'wait', 'charset', 'boundary', '/', '*', '%', 'é'),
      { maxLength: 40 },
    )
    .map((parts) => parts.join('')),
)
const fieldName = fc.oneof(
  fc.constantFrom(
    'Idempotency-Key',
    'Prefer',
    'Content-Type',
    'Content-Encoding',
    'Authorization',
    'x-api-key',
    'Connection',
    'Cache-Control',
    'X-Stainless-Retry-Count',
    'Transfer-Encoding',
    'Set-Cookie',
  ),
  fc.string({ unit: fc.constantFrom(...'abcXYZ-_09!~'), minLength: 1, maxLength: 20 }),
)
const headers = fc.array(fc.tuple(fieldName, fieldValue), { maxLength: 12 }).map((fields) => fields.flat())
const anyText = fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), fieldValue)
const jsonish = fc
  .array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      '\\u',
      'd800',
      '1',
      '-',
      'e9',
      '.',
      'null',
      'true',
      ' ',
      '\n',
      'usage',
      'a',
      '\u0000',
      'é',
      '"usage":{"prompt_tokens":',
      '9'.repeat(30),
    ),
    { maxLength: 80 },
  )
  .map((parts) => parts.join(''))
const ssish = fc
  .array(
    fc.constantFrom(
      'data:',
      'data: ',
      'event: message_stop',
      'id: 7',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
      ': c',
      '[DONE]',
      '{"usage":',
      '{"error":',
      '}',
      '\uFEFF',
      'retry: 1',
      '"',
    ),
    { maxLength: 80 },
  )
  .map((parts) => parts.join(''))
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }),
  jsonish.map(bytesOf),
  ssish.map(bytesOf),
  fc.json().map(bytesOf),
)

/** Runs it; an IdempotencyError is an answer, anything else is a bug. */
function refusing<T>(run: () => T): T | IdempotencyError {
  try {
    return run()
  } catch (error) {
    if (error instanceof IdempotencyError) return error
    throw error
  }
}

const runs = { numRuns: 2_000 }

describe('on any input nothing is thrown but IdempotencyError by', () => {
  test('the key', () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 3 }), fc.boolean(), (values, strict) => {
        const key = refusing(() => parseKey(values, { strict }))
        if (typeof key === 'string') expect(key).toMatch(/^[\x21-\x7e]{1,255}$/)
        refusing(() =>
          parseKeyFields([
            { name: 'a', values },
            { name: 'b', values: values.slice(1) },
          ]),
        )
      }),
      runs,
    )
    fc.assert(
      fc.property(fc.anything(), (key) => void refusing(() => checkKey(key))),
      runs,
    )
  })

  test('the plan and the tenant', () => {
    const query = fc.oneof(anyText, fc.constantFrom('key=a', 'api_key=%ff', '&&=&', 'access_token'))
    fc.assert(
      fc.property(headers, query, fc.constantFrom('POST', 'GET', 'PATCH', ''), (raw, sent, method) => {
        refusing(() =>
          planOf({ method, headers: raw, query: sent }, { ...routeDefaults, policy: { waitMs: 1 } as never }),
        )
        refusing(() => tenantOf(keyed, { headers: raw, query: sent }))
        refusing(() => tenantOf(keyed, { headers: raw, query: sent }, { tenantHeader: 'x-api-key' }))
      }),
      runs,
    )
  })

  test('Prefer, which names a number of seconds or nothing', () => {
    fc.assert(
      fc.property(fc.array(fieldValue, { maxLength: 3 }), (lines) => {
        const wait = parseWait(lines)
        expect(wait === undefined || (Number.isSafeInteger(wait) && wait >= 0)).toBe(true)
      }),
      runs,
    )
  })

  test('media types', () => {
    fc.assert(
      fc.property(anyText, (field) => void parseMediaType(field)),
      runs,
    )
  })

  test('lists of headers, which lose fields and change none', () => {
    fc.assert(
      fc.property(headers, (raw) => {
        const pairs = (list: readonly string[]): string[] =>
          list.flatMap((name, at) => (at % 2 === 0 ? [`${name}\n${list[at + 1]}`] : []))
        for (const some of [endToEndHeaders(raw), answerHeaders(raw), replayHeaders(raw)]) {
          expect(some.length % 2).toBe(0)
          for (const pair of pairs(some)) expect(pairs(raw)).toContain(pair)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('fingerprints of any request', () => {
    fc.assert(
      fc.property(headers, anyBytes, anyText, (raw, body, query) => {
        const request = { method: 'POST', path: '/v1/a', query, headers: raw, body }
        refusing(() =>
          requestFingerprint(keyed, request, { maxBodyBytes: 4_000, decode: codings.decode, ignore: [] as never }),
        )
      }),
      runs,
    )
  })

  test('JSON, forms and multipart bodies', () => {
    fc.assert(
      fc.property(anyBytes, fc.string({ maxLength: 5 }), (body, boundary) => {
        canonicalJson(body)
        utf8Text(body)
        expect(multipartParts(body, boundary, 3)).toEqual(multipartParts(body, boundary))
        for (const { name, value } of queryPairs(utf8Text(body) ?? '')) decodedText(`${name}${value}`)
      }),
      runs,
    )
  })

  test('paths to be ignored', () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 3 }), (paths) => void refusing(() => ignoredPaths(paths))),
      runs,
    )
  })

  test('answers, event streams in any split, and Last-Event-ID', () => {
    const path = fc.constantFrom(
      '/v1/chat/completions',
      '/v1/responses',
      '/v1/messages',
      '/v1/models/x:streamGenerateContent',
      '/x',
    )
    const type = fc.constantFrom('text/event-stream', 'application/json', 'application/x-ndjson', undefined)
    fc.assert(
      fc.property(
        anyBytes,
        path,
        type,
        fc.nat(50),
        fc.boolean(),
        anyText,
        (body, where, contentType, cut, clean, id) => {
          const whole = streamScanner({ path: where }, { contentType })
          const split = streamScanner({ path: where }, { contentType })
          whole.push(body)
          for (let at = 0; at < body.length; at += cut + 1) split.push(body.subarray(at, at + cut + 1))
          expect([split.end(clean), split.terminatorAt, split.failed]).toEqual([
            whole.end(clean),
            whole.terminatorAt,
            whole.failed,
          ])
          const units = Object.values(whole.usage?.units ?? {})
          expect(units.every((value) => Number.isFinite(value))).toBe(true)
          usageOf(body)
          const offset = offsetAfterEvent(body, id)
          expect(offset === undefined || (offset > 0 && offset <= body.length)).toBe(true)
        },
      ),
      runs,
    )
  })
})

describe('where there is a way back it leads to the same', () => {
  test('a quoted key', () => {
    const key = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 255,
    })
    fc.assert(
      fc.property(key, (text) => {
        expect(parseKey([`"${text.replace(/["\\]/g, '\\$&')}"`])).toBe(text)
      }),
      runs,
    )
  })

  test('canonical JSON is JSON of the same value, and its own canonical form', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const canonical = canonicalJson(JSON.stringify(value)) as string
        expect(canonicalJson(canonical)).toBe(canonical)
        expect(JSON.parse(canonical)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      runs,
    )
  })

  test('a multipart body', () => {
    const part = fc.record({
      name: fc.string({ unit: fc.constantFrom(...'abc-'), minLength: 1, maxLength: 8 }),
      content: fc.uint8Array({ maxLength: 200 }),
    })
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const boundary = 'e7b6c5b0-a-boundary-nobody-writes'
        const pieces = parts.flatMap(({ name, content }) => [
          bytesOf(`--${boundary}\r\nX-Name: ${name}\r\n\r\n`),
          content,
          bytesOf('\r\n'),
        ])
        const body = Buffer.concat([...pieces, bytesOf(`--${boundary}--\r\n`)])
        const wanted = parts.map(({ name, content }) => [name, nodeDigest.sha256(content)])
        for (const cut of [1, 7, body.length]) {
          const read = multipartParts(body, boundary, cut)
          expect(read?.map(({ headers: [field], digest }) => [field?.[1], digest])).toEqual(wanted)
        }
      }),
      runs,
    )
  })

  test('names and values of a query', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }))),
        (pairs) => {
          const query = pairs
            .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
            .join('&')
          expect(queryPairs(query).map(({ name, value }) => [decodedText(name), decodedText(value ?? '')])).toEqual(
            pairs,
          )
        },
      ),
      runs,
    )
  })
})

/** Repeated until it is so long. */
const long = (part: string, bytes: number): string => part.repeat(Math.ceil(bytes / part.length)).slice(0, bytes)

/**
 * The time of eight times as much is about eight times as long, and sixty-four times where something is quadratic. Both are
 * the least of several, since a busy machine only ever adds.
 */
function growth(run: (size: number) => void, size: number): number {
  const least = (bytes: number): number => {
    let best = Number.POSITIVE_INFINITY
    for (let round = 0; round < 4; round++) {
      best = Math.min(
        best,
        cpuMs(() => run(bytes)),
      )
    }
    return best
  }
  run(size)
  // Below a millisecond the clock and the collector are all that is measured.
  return least(size * 8) / Math.max(least(size), 1)
}

describe('time grows with the length only', { timeout: 120_000 }, () => {
  const parts = [
    '"',
    '\\',
    '\\"',
    ',',
    ';',
    ' ',
    '\t',
    '; ',
    'a=',
    ';a="',
    ';a="\\',
    '{',
    '[',
    '{"a":',
    '[[],',
    '"a",',
    '\r',
    '\n',
    '\r\n',
    '\r\n--',
    '\r\n--b',
    'data:',
    'data: {',
    'id: 1\n',
    '\n\n',
    '%',
    '%25',
    '&',
    'a=1&',
    '9',
    '\\u',
    '.',
    '[*]',
    '-',
  ]

  test.each(parts)('on %j over and over, for every parser', (part) => {
    const readers: Record<string, (text: string) => unknown> = {
      key: (text) => refusing(() => parseKey([text])),
      'quoted key': (text) => refusing(() => parseKey([`"${text}`])),
      prefer: (text) => parseWait([text]),
      media: (text) => parseMediaType(`multipart/form-data; ${text}`),
      query: (text) => queryPairs(text).map(({ name }) => decodedText(name)),
      connection: (text) => endToEndHeaders(['Connection', text, 'a', 'b']),
      json: (text) => canonicalJson(text),
      'quoted json': (text) => canonicalJson(`{"a":"${text}`),
      multipart: (text) => multipartParts(bytesOf(`--b\r\n${text}`), 'b', 1_000),
      stream: (text) =>
        streamScanner({ path: '/v1/messages' }, { contentType: 'text/event-stream' }).push(bytesOf(text)),
      answer: (text) => usageOf(bytesOf(`{"usage":${text}`)),
      resume: (text) => offsetAfterEvent(bytesOf(text), '2'),
    }
    for (const [name, read] of Object.entries(readers)) {
      expect.soft([name, growth((bytes) => read(long(part, bytes)), 40_000) < 30]).toEqual([name, true])
    }
  })

  test('and the measure itself knows what is quadratic', () => {
    expect(growth((bytes) => /[ \t]+$/.test(`${' '.repeat(bytes)}a`), 4_000)).toBeGreaterThan(30)
  })
})
