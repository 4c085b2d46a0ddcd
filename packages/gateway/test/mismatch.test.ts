/** Which requests are the same under one key, and what another one gets (http.md, Fingerprint). */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  freshKey,
  type GatewayProgram,
  type ScriptedUpstream,
  type Sent,
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

const asJson = ['Content-Type', 'application/json']

/** The status of the second of two requests under one key. */
async function second(first: Sent, other: Sent, to = gateway): Promise<number> {
  const key = freshKey()
  expect((await send(to, { key, ...first })).how).toBe('executed')
  return (await send(to, { key, ...other })).status
}

test('another request gets 422, changes nothing, and the original still replays', async () => {
  const key = freshKey()
  const first = await send(gateway, { key, body: '{"a":1}', headers: asJson })
  const other = await send(gateway, { key, body: '{"a":2}', headers: asJson })
  expect([other.status, other.how, other.json['code']]).toEqual([422, 'refused', 'fingerprint_mismatch'])
  expect(other.header('x-should-retry')).toBe('false')
  expect(other.header('idempotency-key')).toBe(key)
  expect(other.text).not.toContain(first.text)
  const again = await send(gateway, { key, body: '{"a":1}', headers: asJson })
  expect([again.how, again.text]).toEqual(['replayed', first.text])
  expect(upstream.calls).toHaveLength(1)
})

test('another request is told so at once while the original runs', async () => {
  upstream.reset(() => undefined)
  const key = freshKey()
  const running = send(gateway, { key, body: 'a' })
  const { response } = await upstream.call()
  expect((await send(gateway, { key, body: 'b' })).status).toBe(422)
  response.end('done')
  expect((await running).text).toBe('done')
})

describe('the same request', () => {
  test.each([
    ['members in another order', '{"a":1,"b":[1,2]}', '{"b":[1,2],"a":1}'],
    ['other white space', '{"a":1}', '{\n  "a" : 1\r\n}\t'],
    ['another spelling of a number', '{"a":1.0}', '{"a":1}'],
    ['another spelling of a letter', '{"a":"\\u0041"}', '{"a":"A"}'],
  ])('may have %s', async (_, one, two) => {
    expect(await second({ body: one, headers: asJson }, { body: two, headers: asJson })).toBe(200)
  })

  test('may say charset=utf-8', async () => {
    const headers = ['content-type', 'Application/JSON; Charset=UTF-8']
    expect(await second({ body: '{"a":1}', headers: asJson }, { body: '{"a":1}', headers })).toBe(200)
  })

  test('may have a new multipart boundary', async () => {
    expect(await second(multipart('aaa', 'x'), multipart('bbb-ccc', 'x'))).toBe(200)
  })

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('may come in %s', async (coding, encode) => {
    const body = '{"model":"m"}'
    const coded = { body: encode(body), headers: [...asJson, 'Content-Encoding', coding] }
    expect(await second({ body, headers: asJson }, coded)).toBe(200)
    expect(await second(coded, { body: '{"model": "m"}', headers: asJson })).toBe(200)
    expect(upstream.calls.at(-1)?.body.equals(coded.body)).toBe(true)
    expect(upstream.calls.at(-1)?.headers['content-encoding']).toBe(coding)
  })

  test('may have its query in another order', async () => {
    expect(await second({ path: '/v1?a=1&b=2' }, { path: '/v1?b=2&a=1' })).toBe(200)
  })

  test.each([
    ['X-Stainless-Retry-Count', '0', '2'],
    ['X-Stainless-Timeout', '60', '59'],
    ['User-Agent', 'a', 'b'],
    ['traceparent', '00-a', '00-b'],
    ['X-Request-Id', '1', '2'],
  ])('may have another %s', async (name, one, two) => {
    expect(await second({ headers: [name, one] }, { headers: [name, two] })).toBe(200)
  })

  test('may come chunked or with a length', async () => {
    const chunked = { body: '{"a":1}', headers: [...asJson, 'Transfer-Encoding', 'chunked'] }
    expect(await second({ body: '{"a":1}', headers: asJson }, chunked)).toBe(200)
  })

  test('may spell its form otherwise', async () => {
    const headers = ['Content-Type', 'application/x-www-form-urlencoded']
    expect(await second({ body: 'a=%41+b', headers }, { body: 'a=A%20b', headers })).toBe(200)
  })
})

describe('another request', () => {
  test.each([
    ['a duplicate name', '{"a":1,"a":2}', '{"a":2}'],
    ['a number beyond 2^53', '{"a":9007199254740993}', '{"a":9007199254740992}'],
    ['a lone surrogate', '{"a":"\\ud800"}', '{"a":"\\ud801"}'],
    ['a list in another order', '{"a":[1,2]}', '{"a":[2,1]}'],
    ['stream: true', '{"a":1,"stream":true}', '{"a":1,"stream":false}'],
    ['null for nothing', '{"a":null}', '{}'],
    ['a text for a number', '{"a":"1"}', '{"a":1}'],
  ])('has %s', async (_, one, two) => {
    expect(await second({ body: one, headers: asJson }, { body: two, headers: asJson })).toBe(422)
    expect(await second({ body: two, headers: asJson }, { body: one, headers: asJson })).toBe(422)
  })

  test.each([
    ['anthropic-version', '2023-06-01', '2024-01-01'],
    ['anthropic-beta', 'a', 'b'],
    ['openai-organization', 'a', 'b'],
    ['openai-project', 'a', 'b'],
    ['openai-beta', 'a', 'b'],
    ['api-version', 'a', 'b'],
    ['Content-Type', 'text/plain', 'text/html'],
  ])('has another %s', async (name, one, two) => {
    expect(await second({ headers: [name, one] }, { headers: [name, two] })).toBe(422)
  })

  test('has another query', async () => {
    expect(await second({ path: '/v1?a=1' }, { path: '/v1?a=2' })).toBe(422)
    expect(await second({ path: '/v1?a=1&a=2' }, { path: '/v1?a=2&a=1' })).toBe(422)
  })

  test('has another file in its multipart', async () => {
    expect(await second(multipart('aaa', 'x'), multipart('aaa', 'y'))).toBe(422)
  })

  test('has the same bytes in a text that is no JSON', async () => {
    const headers = ['Content-Type', 'text/plain']
    expect(await second({ body: '{"a":1,"b":2}', headers }, { body: '{"b":2,"a":1}', headers })).toBe(422)
  })
})

describe('with a configuration', () => {
  let configured: GatewayProgram
  beforeAll(async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'oncekey-mismatch-')), 'oncekey.yaml')
    writeFileSync(
      file,
      `mismatch: split
ignore: [$.metadata.sent_at]
routes:
  - { path: '/reject/*', mismatch: reject }
`,
    )
    configured = await startGateway(upstream, ['--config', file])
  })
  afterAll(() => configured.kill())

  test('split makes another request under the key an operation of its own', async () => {
    const key = freshKey()
    const texts: string[] = []
    for (const body of ['a', 'b', 'a', 'b']) {
      const answer = await send(configured, { key, body })
      texts.push(`${answer.how} ${answer.text}`)
    }
    expect(texts).toEqual([
      'executed {"count":1}',
      'executed {"count":2}',
      'replayed {"count":1}',
      'replayed {"count":2}',
    ])
  })

  test('a route may reject where the rest splits', async () => {
    expect(await second({ path: '/reject/a', body: 'a' }, { path: '/reject/a', body: 'b' }, configured)).toBe(422)
  })

  test('ignored paths make no other request', async () => {
    const sent = (at: number, rest = 1) => ({
      path: '/reject/a',
      headers: asJson,
      body: JSON.stringify({ rest, metadata: { sent_at: at, user: 'u' } }),
    })
    expect(await second(sent(1), sent(2), configured)).toBe(200)
    expect(await second(sent(1), sent(1, 2), configured)).toBe(422)
  })
})

function multipart(boundary: string, content: string): Sent {
  const body = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\nContent-Type: audio/mpeg\r\n\r\n${content}\r\n--${boundary}--\r\n`
  return { body, headers: ['Content-Type', `multipart/form-data; boundary=${boundary}`] }
}
