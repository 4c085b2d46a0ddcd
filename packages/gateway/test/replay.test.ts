/** What a replay is made of: the recorded bytes and fields, and what must never come back (http.md, Answers). */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type Answer,
  freshKey,
  type GatewayProgram,
  json,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'

let upstream: ScriptedUpstream
let gateway: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway(upstream)
})
afterAll(async () => {
  await gateway.kill()
  upstream.close()
})
beforeEach(() => upstream.reset())

async function twice(path = '/v1/things', headers: string[] = []): Promise<[Answer, Answer]> {
  const key = freshKey()
  return [await send(gateway, { key, path, headers }), await send(gateway, { key, path, headers })]
}

describe('a replay', () => {
  test.each([
    ['JSON', Buffer.from('{"a": 1}')],
    ['nothing', Buffer.alloc(0)],
    ['every byte there is', Buffer.from(Array.from({ length: 256 }, (_, at) => at))],
    ['a kibibyte short of the limit of whole answers', randomBytes(1024 * 1023)],
    ['exactly one mebibyte', randomBytes(1024 * 1024)],
    ['a byte more than one mebibyte', randomBytes(1024 * 1024 + 1)],
    ['five mebibytes', randomBytes(5 * 1024 * 1024)],
  ])('has the bytes of the original: %s', async (_, body) => {
    upstream.reset(({ response }) => {
      response.writeHead(201, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length }).end(body)
    })
    const [first, second] = await twice()
    expect([first.status, first.how, first.complete]).toEqual([201, 'executed', true])
    expect([second.status, second.how, second.complete]).toEqual([201, 'replayed', true])
    expect(first.body.equals(body)).toBe(true)
    expect(second.body.equals(body)).toBe(true)
    expect(second.header('content-length')).toBe(String(body.length))
    expect(upstream.calls).toHaveLength(1)
  })

  test('has the bytes of a chunked original', async () => {
    upstream.reset(({ response }) => {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      response.write('{"a":')
      response.end('1}')
    })
    const [first, second] = await twice()
    expect([first.text, second.text]).toEqual(['{"a":1}', '{"a":1}'])
    expect([first.complete, second.complete, second.how]).toEqual([true, true, 'replayed'])
  })

  test('has the allow-listed fields and no others', async () => {
    const kept = {
      'content-type': 'application/json; charset=utf-8',
      'content-language': 'de',
      'content-disposition': 'attachment; filename="a"',
      location: '/v1/things/1',
      etag: '"abc"',
      'request-id': 'req_1',
      'x-request-id': 'req_2',
      'openai-processing-ms': '12',
      'openai-version': '2020-10-01',
      'anthropic-organization-id': 'org',
      'x-goog-quota-user': 'q',
    }
    const dropped = {
      'set-cookie': 'session=1',
      'x-ratelimit-remaining-requests': '1',
      'anthropic-ratelimit-tokens-remaining': '2',
      'retry-after': '3',
      age: '9',
      'x-other': 'o',
      server: 'cloudflare',
      'cache-control': 'max-age=60',
    }
    upstream.reset(({ response }) => json(response, {}, 200, { ...kept, ...dropped }))
    const [first, second] = await twice()
    for (const [name, value] of Object.entries(kept)) {
      expect([name, first.header(name), second.header(name)]).toEqual([name, value, value])
    }
    for (const [name, value] of Object.entries(dropped)) expect([name, first.header(name)]).toEqual([name, value])
    for (const name of Object.keys(dropped).filter((known) => known !== 'cache-control')) {
      expect([name, second.header(name)]).toEqual([name, undefined])
    }
    expect(second.header('cache-control')).toBe('no-store')
  })

  test('keeps every Set-Cookie of the original for its own caller only', async () => {
    upstream.reset(({ response }) => {
      response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      json(response, {})
    })
    const [first, second] = await twice()
    expect(first.rawHeaders.filter((name) => name.toLowerCase() === 'set-cookie')).toHaveLength(2)
    expect(second.header('set-cookie')).toBeUndefined()
  })

  test('has a Date of its own and tells the date of the original', async () => {
    const old = 'Tue, 15 Nov 1994 08:12:31 GMT'
    upstream.reset(({ response }) => json(response, {}, 200, { Date: old }))
    const [first, second] = await twice()
    expect(first.header('date')).toBe(old)
    expect(second.header('date')).not.toBe(old)
    const original = Date.parse(second.header('idempotency-original-date') ?? '')
    expect(Math.abs(Date.now() - original)).toBeLessThan(30_000)
    expect(second.header('idempotency-original-date')).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/)
  })

  test('says until when it is kept: a day from its settlement', async () => {
    const [first, second] = await twice()
    const expires = Date.parse(second.header('idempotency-expires') ?? '')
    expect(Math.abs(expires - Date.now() - 86_400_000)).toBeLessThan(30_000)
    expect(first.header('idempotency-expires')).toBe(second.header('idempotency-expires'))
  })

  test('is marked as a replay, and the original is not', async () => {
    const [first, second] = await twice()
    expect([first.header('idempotent-replayed'), first.header('idempotency-original-date')]).toEqual([
      undefined,
      undefined,
    ])
    expect([second.how, second.header('idempotent-replayed')]).toEqual(['replayed', 'true'])
  })

  test('never has the upstream pass for us', async () => {
    const lies = {
      'Idempotency-Status': 'replayed',
      'Idempotent-Replayed': 'true',
      'Idempotency-Key': 'theirs',
      'Idempotency-Expires': 'never',
      'Idempotency-Whatever': 'x',
    }
    upstream.reset(({ response }) => json(response, {}, 200, lies))
    const [first, second] = await twice()
    expect([first.how, first.header('idempotent-replayed'), first.header('idempotency-whatever')]).toEqual([
      'executed',
      undefined,
      undefined,
    ])
    expect([second.how, second.header('idempotent-replayed'), second.header('idempotency-whatever')]).toEqual([
      'replayed',
      'true',
      undefined,
    ])
    const passed = await send(gateway, { method: 'GET' })
    expect([passed.how, passed.header('idempotent-replayed')]).toEqual(['ignored', undefined])
  })

  test('has no body and no length where the status has none', async () => {
    upstream.reset(({ response }) => response.writeHead(204, { 'x-request-id': 'r' }).end())
    const [first, second] = await twice()
    expect([first.status, second.status, second.how]).toEqual([204, 204, 'replayed'])
    expect([second.header('content-length'), second.header('transfer-encoding')]).toEqual([undefined, undefined])
    expect(second.header('x-request-id')).toBe('r')
  })

  test('of a redirect keeps where it leads', async () => {
    upstream.reset(({ response }) => json(response, {}, 303, { Location: '/elsewhere' }))
    const [, second] = await twice()
    expect([second.status, second.header('location')]).toEqual([303, '/elsewhere'])
  })

  test('evaluates neither Range nor If-None-Match again', async () => {
    upstream.reset(({ response }) => json(response, { whole: true }, 200, { ETag: '"e"' }))
    const [first, second] = await twice('/v1/things', ['Range', 'bytes=0-1', 'If-None-Match', '"e"'])
    expect(upstream.calls[0]?.headers).toMatchObject({ range: 'bytes=0-1', 'if-none-match': '"e"' })
    expect([second.status, second.text]).toEqual([200, first.text])
  })

  test('of a coded answer is coded, or decoded for whoever does not take the coding', async () => {
    const coded = gzipSync('{"hello":"world"}')
    upstream.reset(({ response }) => {
      response.writeHead(200, {
        'Content-Type': 'application/json',
        'Content-Encoding': 'gzip',
        'Content-Length': coded.length,
        ETag: '"gz"',
        'Content-Digest': 'sha-256=:x:',
      })
      response.end(coded)
    })
    const key = freshKey()
    const first = await send(gateway, { key, headers: ['Accept-Encoding', 'gzip'] })
    expect(first.body.equals(coded)).toBe(true)
    const same = await send(gateway, { key, headers: ['Accept-Encoding', 'br, gzip;q=0.5'] })
    expect([same.header('content-encoding'), same.body.equals(coded), same.header('etag')]).toEqual([
      'gzip',
      true,
      '"gz"',
    ])
    for (const headers of [[], ['Accept-Encoding', 'br'], ['Accept-Encoding', 'gzip;q=0, *']]) {
      const plain = await send(gateway, { key, headers })
      expect(plain.text).toBe('{"hello":"world"}')
      expect([plain.header('content-encoding'), plain.header('etag'), plain.header('content-digest')]).toEqual([
        undefined,
        undefined,
        undefined,
      ])
      expect(plain.header('content-length')).toBe('17')
    }
    expect(upstream.calls).toHaveLength(1)
  })

  test('carries further fields that the configuration adds, but never a cookie', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'oncekey-replay-')), 'oncekey.yaml')
    writeFileSync(file, 'replayHeaders: [X-Other, X-Many-*, Set-Cookie]\n')
    const configured = await startGateway(upstream, ['--config', file])
    upstream.reset(({ response }) => json(response, {}, 200, { 'x-other': 'o', 'x-many-a': 'a', 'set-cookie': 's=1' }))
    const key = freshKey()
    await send(configured, { key })
    const second = await send(configured, { key })
    expect([second.how, second.header('x-other'), second.header('x-many-a'), second.header('set-cookie')]).toEqual([
      'replayed',
      'o',
      'a',
      undefined,
    ])
    await configured.kill()
  })

  test('ends when the retention is over: then the key executes as new, also for another request', async () => {
    const brief = await startGateway(upstream, ['--retention', '300ms'])
    const key = freshKey()
    expect((await send(brief, { key, body: 'a' })).how).toBe('executed')
    expect((await send(brief, { key, body: 'a' })).how).toBe('replayed')
    let answer = await send(brief, { key, body: 'b' })
    while (answer.status === 422) answer = await send(brief, { key, body: 'b' })
    expect([answer.status, answer.how, upstream.calls.length]).toEqual([200, 'executed', 2])
    await brief.kill()
  })
})
