/** What goes through unrecorded goes through unchanged, both ways (gateway.md, Forwarding). */
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  answerOf,
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
let raw: RawUpstream
let gateway: GatewayProgram
/** Keyless requests of every method are passed through. */
let off: GatewayProgram
let bytewise: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  raw = await startRawUpstream(() => undefined)
  gateway = await startGateway(upstream)
  off = await startGateway(upstream, ['--keyless', 'off'])
  bytewise = await startGateway(raw)
})
afterAll(async () => {
  await Promise.all([gateway.kill(), off.kill(), bytewise.kill()])
  upstream.close()
  raw.close()
})
beforeEach(() => upstream.reset())

describe('a request', () => {
  test.each([
    '/',
    '/a%2Fb/c%20d',
    '//double//slash//',
    '/dots/../up/./here/..',
    '/q?',
    '/q?a=1&a=2&&b=%3D+x?y',
    "/odd/~!$&'()*+,;=:@",
    '/trailing/?x=/y//z',
    '/%',
    '/%zz?%zz',
    `/${'long/'.repeat(1000)}`,
  ])('keeps its target to the byte: %s', async (path) => {
    await send(gateway, { method: 'GET', path })
    await send(gateway, { path, key: freshKey() })
    expect(upstream.calls.map(({ url }) => url)).toEqual([path, path])
  })

  test.each(['GET', 'POST'])('of %s loses what belongs to one hop, and what Connection names', async (method) => {
    const headers = [
      ...['Connection', 'close, X-Hop, x-other-hop', 'X-Hop', '1', 'X-Other-Hop', '2', 'Keep-Alive', 'timeout=5'],
      ...['TE', 'trailers', 'Proxy-Authorization', 'secret', 'Proxy-Connection', 'keep-alive', 'X-Stays', '3'],
      ...['HTTP2-Settings', 'AAA', 'Expect', '100-continue'],
    ]
    const key = freshKey()
    await send(gateway, { method, key, headers })
    const seen = (await upstream.call()).headers
    for (const gone of ['x-hop', 'x-other-hop', 'keep-alive', 'te', 'proxy-authorization', 'proxy-connection']) {
      expect([gone, seen[gone]]).toEqual([gone, undefined])
    }
    expect([seen['http2-settings'], seen.expect, seen['idempotency-key']]).toEqual([undefined, undefined, undefined])
    expect([seen['x-stays'], seen.host]).toEqual(['3', new URL(upstream.url).host])
  })

  test('keeps its headers: spelling, order, repetitions and bytes beyond ASCII', async () => {
    const headers = ['X-B', '1', 'x-a', '2', 'X-B', '3', 'X-Name', 'caf\xe9']
    await send(gateway, { key: freshKey(), headers })
    await send(gateway, { method: 'GET', headers })
    for (const { rawHeaders } of upstream.calls) {
      const kept = rawHeaders.filter((_, at) => /^x-/i.test(rawHeaders[at - (at % 2)] as string))
      expect(kept).toEqual(headers)
    }
    expect(upstream.calls).toHaveLength(2)
  })

  test.each(['covered', 'passed through'])('has its binary body kept when it is %s', async (how) => {
    const body = randomBytes(300_000)
    const key = how === 'covered' ? { key: freshKey() } : {}
    await send(off, { ...key, body })
    await send(off, { ...key, body: body.subarray(1), headers: ['Transfer-Encoding', 'chunked'], path: '/v1/other' })
    expect(upstream.calls.map((call) => call.body.equals(body))).toEqual([true, false])
    expect(upstream.calls[1]?.body.equals(body.subarray(1))).toBe(true)
    expect(upstream.calls[0]?.headers['content-length']).toBe('300000')
  })

  test('of GET may have a body', async () => {
    await send(gateway, { method: 'GET', body: 'question', headers: ['Content-Length', '8'] })
    expect((await upstream.call()).body.toString()).toBe('question')
  })

  test('without a body has none at the upstream either', async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE']) await send(gateway, { method })
    for (const { headers } of upstream.calls) {
      expect([headers['content-length'] ?? '0', headers['transfer-encoding']]).toEqual(['0', undefined])
    }
    expect(upstream.calls).toHaveLength(4)
  })

  test('with Expect: 100-continue is told to go on', async () => {
    for (const key of [`Idempotency-Key: ${freshKey()}\r\n`, '']) {
      const client = new RawClient(gateway.port)
      client.write(
        `POST /v1/a HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\n${key}Expect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n`,
      )
      await client.has('HTTP/1.1 100 Continue\r\n\r\n')
      client.write('body')
      await client.closed
      expect(client.text).toContain('HTTP/1.1 200 OK')
    }
    expect(upstream.calls.map(({ body }) => body.toString())).toEqual(['body', 'body'])
  })
})

describe('an answer', () => {
  test.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
    ['POST', 204],
    ['POST', 304],
  ])('to %s with %i has no body and ends', async (method, status) => {
    upstream.reset(({ response }) => {
      response.writeHead(status, method === 'HEAD' ? { 'Content-Length': '12345', ETag: '"e"' } : { ETag: '"e"' }).end()
    })
    const answer = await send(off, { method })
    expect([answer.status, answer.body.length, answer.complete, answer.header('etag')]).toEqual([
      status,
      0,
      true,
      '"e"',
    ])
    if (method === 'HEAD') expect(answer.header('content-length')).toBe('12345')
  })

  test.each([
    ['GET', '</a>; rel=preload', [103, 102]],
    ['GET', '</a>; rel=preload; as=style, </b>; rel="next"; title="a b"', [102]],
    ['POST', '</a>; rel=preload', []],
  ])('to %s comes after interim ones, with links %s', async (method, link, interim) => {
    raw.serve = (socket) => {
      socket.write(`HTTP/1.1 103 Early Hints\r\nLink: ${link}\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n`)
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody')
    }
    const key = freshKey()
    const answering = open(bytewise, { method, key })
    const seen: number[] = []
    answering.request.on('information', ({ statusCode }) => seen.push(statusCode))
    const answer = await answerOf(answering)
    expect([answer.status, answer.text, answer.complete]).toEqual([200, 'body', true])
    // A link that Node does not take is left out; the answer itself never suffers.
    expect(seen).toEqual(expect.arrayContaining(interim))
    if (method === 'POST') expect([seen, (await send(bytewise, { key })).how]).toEqual([[], 'replayed'])
    const old = await exchangeRaw(bytewise, 'GET / HTTP/1.0\r\n\r\n')
    expect(old.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
  })

  test.each([
    ['a length', 'Content-Length: 4\r\n\r\nbody', []],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n', ['X-Sum', '1']],
  ])('announcing a trailer comes whole with %s', async (_, rest, trailers) => {
    raw.serve = (socket) => socket.end(`HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n${rest}`)
    for (const sent of [{ method: 'GET' }, { key: freshKey() }]) {
      const answer = await send(bytewise, sent)
      expect([answer.status, answer.text, answer.complete, answer.trailers]).toEqual([200, 'body', true, trailers])
    }
  })

  test('loses what belongs to one hop', async () => {
    raw.serve = (socket) =>
      socket.end(
        'HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Stays: 2\r\nContent-Length: 2\r\n\r\nok',
      )
    for (const sent of [{ method: 'GET' }, { key: freshKey() }]) {
      const answer = await send(bytewise, sent)
      expect(['x-hop', 'keep-alive', 'proxy-authenticate', 'upgrade'].map((name) => answer.header(name))).toEqual(
        new Array(4).fill(undefined),
      )
      expect([answer.header('x-stays'), answer.text]).toEqual(['2', 'ok'])
    }
  })

  test('keeps repeated headers and bytes beyond ASCII', async () => {
    raw.serve = (socket) => {
      const head =
        'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n'
      socket.end(Buffer.from(head, 'latin1'))
    }
    for (const sent of [{ method: 'GET' }, { key: freshKey() }]) {
      const answer = await send(bytewise, sent)
      expect([answer.header('set-cookie'), answer.header('x-name')]).toEqual(['a=1, b=2', 'caf\xe9'])
    }
  })

  test('may have headers of thirty kibibytes', async () => {
    upstream.reset(({ response }) => json(response, { ok: true }, 200, { 'x-request-id': 'r'.repeat(30 * 1024) }))
    for (const sent of [{ method: 'GET' }, { key: freshKey() }]) {
      const answer = await send(gateway, sent)
      expect([answer.status, answer.header('x-request-id')?.length]).toEqual([200, 30 * 1024])
    }
  })

  test('in a coding is not touched', async () => {
    const coded = gzipSync(randomBytes(1000))
    upstream.reset(({ response }) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(coded))
    const answer = await send(gateway, { method: 'GET' })
    expect([answer.body.equals(coded), answer.header('content-encoding')]).toEqual([true, 'gzip'])
  })

  test('is live, and cut when the upstream is cut', async () => {
    upstream.reset(({ response }) => beginEvents(response))
    const answering = open(gateway, { method: 'GET' })
    const { response } = await upstream.call()
    await answering.head
    response.write('data: a\n\n')
    await answering.has('data: a\n\n')
    response.destroy()
    expect((await answering.ended).complete).toBe(false)
  })

  test('nobody waits for any more ends the call at once', async () => {
    upstream.reset(({ response }) => beginEvents(response))
    for (const sent of [{ method: 'GET' }, { method: 'POST', path: '/off' }]) {
      const answering = open(off, sent)
      await answering.head
      answering.hangUp()
      const call = await upstream.call()
      await call.closed
      expect(call.response.writableFinished).toBe(false)
      upstream.calls.length = 0
    }
  })

  test('that comes before the request is whole reaches the caller', async () => {
    // The upstream reads on: one that closes may have its answer lost in TCP's reset, whoever is the client.
    upstream.reset(() => undefined)
    upstream.server.prependListener('request', early)
    const body = Buffer.alloc(8 * 1024 * 1024)
    const answer = await send(off, { method: 'POST', body })
    expect([answer.status, answer.text, answer.complete]).toEqual([413, 'too large', true])
    upstream.server.off('request', early)
    function early(_: unknown, response: ServerResponse): void {
      response.writeHead(413, { 'Content-Length': '9' }).end('too large')
    }
  })

  test('is the gateway’s own when the upstream is away, also for a body that streams', async () => {
    const away = await startGateway('http://127.0.0.1:9', ['--keyless', 'off'])
    for (const sent of [{ method: 'GET' }, { body: Buffer.alloc(100_000) }, { method: 'PUT', body: 'x' }]) {
      const answer = await send(away, sent)
      expect([answer.status, answer.json['code'], answer.json['may_have_run']]).toEqual([
        502,
        'upstream_unreachable',
        false,
      ])
    }
    await away.kill()
  })
})

test('the connection to a caller serves many requests', async () => {
  const client = new RawClient(gateway.port)
  for (let count = 1; count <= 5; count++) {
    const key = count % 2 === 0 ? `Idempotency-Key: ${freshKey()}\r\n` : ''
    const before = client.received.length
    client.write(`POST /v1/${count} HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\n${key}Content-Length: 1\r\n\r\nx`)
    await client.has(`{"count":${count}}`)
    expect(client.received.length).toBeGreaterThan(before)
  }
  client.socket.destroy()
  expect(upstream.calls.map(({ url }) => url)).toEqual(['/v1/1', '/v1/2', '/v1/3', '/v1/4', '/v1/5'])
})

test('pipelined requests are answered in their order', async () => {
  upstream.reset(({ response, url }) => setTimeout(() => json(response, url), url === '/v1/1' ? 100 : 0))
  const client = new RawClient(gateway.port)
  const request = (at: number) =>
    `POST /v1/${at} HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nIdempotency-Key: ${freshKey()}\r\nContent-Length: 0\r\n\r\n`
  client.write(request(1) + request(2) + request(3))
  await client.has('"/v1/3"')
  expect(client.text.match(/"\/v1\/\d"/g)).toEqual(['"/v1/1"', '"/v1/2"', '"/v1/3"'])
  client.socket.destroy()
})
