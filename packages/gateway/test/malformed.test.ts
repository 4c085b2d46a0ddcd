/** What two servers could read in two ways is refused here and never forwarded (RFC 9112 §6, §11.2). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  beginEvents,
  exchangeRaw,
  freshKey,
  type GatewayProgram,
  json,
  open,
  RawClient,
  type RawUpstream,
  type ScriptedUpstream,
  send,
  startGateway,
  startRawUpstream,
  startUpstream,
} from './harness.ts'

let upstream: ScriptedUpstream
let bytes: RawUpstream
let gateway: GatewayProgram
/** Nothing is buffered here: keyless requests stream through. */
let off: GatewayProgram
let bytewise: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  bytes = await startRawUpstream((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  gateway = await startGateway(upstream, ['--max-body', '64kb', '--max-upload', '64kb'])
  off = await startGateway(upstream, ['--keyless', 'off'])
  bytewise = await startGateway(bytes)
})
afterAll(async () => {
  await Promise.all([gateway.kill(), off.kill(), bytewise.kill()])
  upstream.close()
  bytes.close()
})
beforeEach(() => upstream.reset())

const head = 'Host: a\r\nAuthorization: a\r\n'
const keyed = (): string => `${head}Idempotency-Key: ${freshKey()}\r\n`
const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

const malformed: Record<string, string> = {
  'a length beside chunks': 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'chunks beside a length': 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
  'a transfer coding that is no chunks': 'Transfer-Encoding: identity\r\n\r\n',
  'a coding before the chunks': 'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'chunks that are not last': 'Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
  'chunks twice': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'chunks twice in a list': 'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n',
  'chunks in a mangled word': 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
  'an odd blank before chunked': 'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
  'two lengths that differ': 'Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello',
  'two lengths in a list': 'Content-Length: 5, 5\r\n\r\nhello',
  'a length with a sign': 'Content-Length: +5\r\n\r\nhello',
  'a negative length': 'Content-Length: -1\r\n\r\n',
  'a length in hexadecimal': 'Content-Length: 0x5\r\n\r\nhello',
  'an empty length': 'Content-Length: \r\n\r\n',
  'a length beyond every number': 'Content-Length: 99999999999999999999999\r\n\r\n',
  'a folded line': 'X-A: b\r\n  folded\r\nContent-Length: 0\r\n\r\n',
  'a folded length': 'Content-Length:\r\n 5\r\n\r\nhello',
  'a blank before the colon': 'Content-Length : 5\r\n\r\nhello',
  'a blank before a name': ' Content-Length: 5\r\n\r\nhello',
  'a line without a colon': 'nonsense\r\nContent-Length: 0\r\n\r\n',
  'a nameless field': ': x\r\nContent-Length: 0\r\n\r\n',
  'bare line feeds': 'X-A: b\nContent-Length: 0\n\n',
  'a bare carriage return': 'X-A: b\rX-B: c\r\nContent-Length: 0\r\n\r\n',
  'a NUL in a value': 'X-A: b\0c\r\nContent-Length: 0\r\n\r\n',
  'a NUL in a name': 'X\0A: b\r\nContent-Length: 0\r\n\r\n',
  'a control character in a value': 'X-A: b\x01c\r\nContent-Length: 0\r\n\r\n',
  'a chunk size with a sign': 'Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n',
  'a chunk size that is no number': 'Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n',
  'a chunk size beyond every number': 'Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\nhello\r\n0\r\n\r\n',
  'a chunk size with 0x': 'Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n',
  'a chunk longer than it says': 'Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n',
  'a chunk that ends in a bare line feed': 'Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n',
  'two Hosts': 'Host: b\r\nContent-Length: 0\r\n\r\n',
}

describe.each([
  ['with a key', () => gateway, keyed],
  ['without a key, covered', () => gateway, () => head],
  ['passed through', () => off, () => head],
])('a request %s', (_, to, fields) => {
  test.each(Object.entries(malformed))('with %s is refused, and its connection closed', async (__, rest) => {
    const answer = await exchangeRaw(to(), `POST /v1/a HTTP/1.1\r\n${fields()}${rest}${smuggled}`)
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    // A body that streams may have begun before it went wrong; what came behind it never goes on.
    expect(upstream.calls.filter(({ request }) => request.complete)).toHaveLength(0)
  })
})

describe('a request line', () => {
  test.each([
    ['an absolute target', 'GET http://elsewhere/v1 HTTP/1.1'],
    ['an authority for a target', 'CONNECT elsewhere:443 HTTP/1.1'],
    ['an asterisk', 'OPTIONS * HTTP/1.1'],
    ['no slash', 'GET v1/a HTTP/1.1'],
    ['a blank in its target', 'GET /v1 /a HTTP/1.1'],
    ['a NUL in its target', 'GET /v1\0a HTTP/1.1'],
    ['an unknown method', 'BREW /v1 HTTP/1.1'],
    ['a mangled method', 'G\0T /v1 HTTP/1.1'],
    ['a version of the future', 'GET /v1 HTTP/7.3'],
    ['HTTP/0.9', 'GET /v1'],
    ['HTTP/2', 'PRI * HTTP/2.0'],
  ])('with %s is refused', async (_, line) => {
    const answer = await exchangeRaw(gateway, `${line}\r\nHost: a\r\nConnection: close\r\n\r\n`)
    if (!line.startsWith('CONNECT')) expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
    else expect(answer).toBe('')
    expect(upstream.calls).toHaveLength(0)
  })

  test('without a Host is refused in HTTP/1.1', async () => {
    expect(await exchangeRaw(gateway, 'GET /v1 HTTP/1.1\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(upstream.calls).toHaveLength(0)
  })

  test('longer than 64 KiB is refused', async () => {
    const answer = await exchangeRaw(gateway, `GET /${'a'.repeat(70_000)} HTTP/1.1\r\nHost: a\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 4(?:31|14) /)
    expect(upstream.calls).toHaveLength(0)
  })
})

test('headers longer than 64 KiB are refused with 431', async () => {
  const answer = await exchangeRaw(gateway, `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`)
  expect(answer).toMatch(/^HTTP\/1\.1 431 /)
  expect(upstream.calls).toHaveLength(0)
})

test('a refusal is a problem document, and says not to try again', async () => {
  const answer = await exchangeRaw(gateway, 'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n')
  expect(answer).toContain('Content-Type: application/problem+json')
  expect(answer).toMatch(/x-should-retry: false/i)
  const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as Record<string, unknown>
  expect(body).toMatchObject({ status: 400, error: { code: 'malformed_request' } })
})

test('nonsense behind a request never mixes with its running answer', async () => {
  upstream.reset(({ response }) => {
    beginEvents(response)
    response.write('data: a\n\n')
  })
  const client = new RawClient(gateway.port)
  client.write(`POST /v1/a HTTP/1.1\r\n${keyed()}Content-Length: 0\r\n\r\n`)
  await client.has('data: a\n\n')
  client.write('nonsense\r\n\r\n')
  await client.closed
  expect(client.text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  expect(client.text).not.toContain('0\r\n\r\n')
})

describe('a body over --max-body', () => {
  const large = Buffer.alloc(64 * 1024 + 1, 'x')

  test.each([
    ['a length', ['Content-Length', String(large.length)]],
    ['chunks', ['Transfer-Encoding', 'chunked']],
  ])('with %s is refused before the upstream is called', async (_, headers) => {
    const key = freshKey()
    const answer = await send(gateway, { key, body: large, headers })
    expect([answer.status, answer.how, answer.json['code']]).toEqual([413, 'refused', 'body_too_large'])
    expect(answer.header('x-should-retry')).toBe('false')
    expect(answer.header('idempotency-key')).toBe(key)
    expect(upstream.calls).toHaveLength(0)
    expect((await send(gateway, { key, body: large.subarray(1) })).how).toBe('executed')
  })

  test('is refused when it is large only after decoding', async () => {
    const { gzipSync } = await import('node:zlib')
    const headers = ['Content-Encoding', 'gzip', 'Content-Type', 'application/json']
    const answer = await send(gateway, { key: freshKey(), body: gzipSync(Buffer.alloc(10_000_000)), headers })
    expect([answer.status, answer.json['code'], upstream.calls.length]).toEqual([413, 'body_too_large', 0])
  })

  test('does not hold for what is passed through', async () => {
    expect((await send(gateway, { method: 'PUT', body: large })).status).toBe(200)
    expect((await upstream.call()).body.length).toBe(large.length)
  })

  test('of a gibibyte is refused while its caller still sends', async () => {
    const client = new RawClient(gateway.port)
    client.write(`POST /v1/a HTTP/1.1\r\n${keyed()}Content-Length: 1073741824\r\n\r\n`)
    client.write('x'.repeat(100_000))
    await client.has('HTTP/1.1 413')
    await client.has('body_too_large')
    expect(client.text).toMatch(/connection: close/i)
    client.socket.destroy()
    expect(upstream.calls).toHaveLength(0)
  })
})

test('a caller who hangs up in the middle of his body is forgotten, and his key is free', async () => {
  const key = freshKey()
  const client = new RawClient(gateway.port)
  client.write(`POST /v1/a HTTP/1.1\r\n${head}Idempotency-Key: ${key}\r\nContent-Length: 10\r\n\r\nhalf`)
  // The gateway has read it once it answers another connection.
  await send(gateway, { method: 'GET' })
  client.socket.destroy()
  await client.closed
  upstream.reset()
  expect((await send(gateway, { key, path: '/v1/a', as: 'a', body: 'whole body' })).how).toBe('executed')
  expect(upstream.calls).toHaveLength(1)
})

describe('an upstream that breaks the protocol', () => {
  test.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nok'],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['nonsense', 'nonsense\r\n\r\n'],
    ['a control character', 'HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 2\r\n\r\nok'],
    ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'],
  ])('with %s gets its caller 502, and the gateway goes on', async (_, answer) => {
    bytes.serve = (socket) => socket.end(answer, 'latin1')
    for (const sent of [{ method: 'GET' }, { key: freshKey() }]) {
      const refused = await send(bytewise, sent)
      expect([refused.status, refused.json['code']]).toEqual([502, 'upstream_unreachable'])
    }
    bytes.serve = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    expect((await send(bytewise, { method: 'GET' })).text).toBe('ok')
  })
})

test('after all of this the gateway still serves', async () => {
  upstream.reset(({ response }) => json(response, 'fine'))
  expect((await send(gateway, { key: freshKey() })).text).toBe('"fine"')
  const answering = open(off, { method: 'GET' })
  expect((await answering.ended).complete).toBe(true)
})
