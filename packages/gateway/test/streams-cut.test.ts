/** Half an answer is never anybody's whole: cuts reach the caller as cuts, and nothing half is replayed (I10). */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openai, streamCases, wholeOf } from './events.ts'
import {
  answerOf,
  beginEvents,
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
let careful: GatewayProgram
let bytewise: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  raw = await startRawUpstream(() => undefined)
  gateway = await startGateway(upstream)
  careful = await startGateway(upstream, ['--on-abandoned', 'unknown'])
  bytewise = await startGateway(raw)
})
afterAll(async () => {
  await Promise.all([gateway.kill(), careful.kill(), bytewise.kill()])
  upstream.close()
  raw.close()
})
beforeEach(() => upstream.reset(({ response }) => beginEvents(response)))

describe.each(streamCases)('a stream of $name', (stream) => {
  test('that ends cleanly without its terminator is cut for its caller and for joiners, and runs again', async () => {
    const key = freshKey()
    const owner = open(gateway, { key, path: stream.path })
    const { response } = await upstream.call()
    response.write(stream.begin.join(''))
    const joiner = open(gateway, { key, path: stream.path })
    await joiner.has(stream.begin.at(-1) as string)
    response.end()
    for (const reader of [owner, joiner]) {
      expect((await reader.ended).complete).toBe(false)
      expect(reader.text).toBe(stream.begin.join(''))
    }
    upstream.script = ({ response: next }) => {
      beginEvents(next)
      next.end(wholeOf(stream))
    }
    const again = await send(gateway, { key, path: stream.path })
    expect([again.how, again.complete, again.text]).toEqual(['executed', true, wholeOf(stream)])
    expect(upstream.calls).toHaveLength(2)
  })

  test('that ends without its terminator is unknown under unknown, and never runs again', async () => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      response.end(stream.begin.join(''))
    })
    const key = freshKey()
    expect((await send(careful, { key, path: stream.path })).complete).toBe(false)
    const again = await send(careful, { key, path: stream.path })
    expect([again.status, again.json['code'], upstream.calls.length]).toEqual([409, 'outcome_unknown', 1])
  })

  test('that is empty is truncated', async () => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      response.end()
    })
    const answering = open(gateway, { key: freshKey(), path: stream.path })
    expect((await answering.ended).complete).toBe(false)
    expect(answering.text).toBe('')
  })

  test.each([
    ['and ends', ''],
    ['and then its terminator', stream.end],
  ])('with an error event %s is not recorded as complete', async (_, rest) => {
    upstream.reset(({ response }, count) => {
      beginEvents(response)
      response.end(count === 1 ? stream.begin[0] + stream.error + rest : wholeOf(stream))
    })
    const key = freshKey()
    const first = open(gateway, { key, path: stream.path })
    await first.ended
    expect(first.text).toContain(stream.error)
    const again = await send(gateway, { key, path: stream.path })
    expect([again.how, again.text]).toEqual(['executed', wholeOf(stream)])
  })

  test('whose connection breaks before the terminator is cut', async () => {
    const key = freshKey()
    const owner = open(gateway, { key, path: stream.path })
    const { response } = await upstream.call()
    response.write(stream.begin[0])
    await owner.has(stream.begin[0] as string)
    response.destroy()
    expect((await owner.ended).complete).toBe(false)
  })

  test('is judged by its terminator when the connection breaks right after it', async () => {
    const key = freshKey()
    const owner = open(gateway, { key, path: stream.path })
    const { response } = await upstream.call()
    response.write(wholeOf(stream))
    await owner.has(stream.begin.at(-1) as string)
    response.destroy()
    const answer = await answerOf(owner)
    expect(answer.complete).toBe(!stream.needsCleanEnd)
    if (stream.needsCleanEnd) return
    expect(answer.text).toBe(wholeOf(stream))
    expect((await send(gateway, { key, path: stream.path })).how).toBe('replayed')
  })
})

test.each(streamCases.filter(({ needsCleanEnd }) => !needsCleanEnd))(
  'a stream of $name that hangs after its terminator ends about a second later',
  async (stream) => {
    const key = freshKey()
    const owner = open(gateway, { key, path: stream.path })
    const call = await upstream.call()
    const startedMs = performance.now()
    call.response.write(wholeOf(stream))
    const answer = await answerOf(owner)
    expect([answer.complete, answer.text]).toEqual([true, wholeOf(stream)])
    expect(performance.now() - startedMs).toBeLessThan(2_500)
    expect((await send(gateway, { key, path: stream.path })).how).toBe('replayed')
    await call.closed
  },
)

test('a cut stream in gzip is seen through its coding', async () => {
  const cut = gzipSync(openai.begin.join(''))
  upstream.reset(({ response }, count) => {
    beginEvents(response, { 'Content-Encoding': 'gzip' })
    response.end(count === 1 ? cut : gzipSync(wholeOf(openai)))
  })
  const key = freshKey()
  const headers = ['Accept-Encoding', 'gzip']
  expect((await send(gateway, { key, path: openai.path, headers })).complete).toBe(false)
  const again = await send(gateway, { key, path: openai.path, headers })
  expect([again.how, again.complete]).toEqual(['executed', true])
})

/** Heads and what comes of them; each body is broken off in another way. */
const body = 'x'.repeat(1000)
const broken = {
  'a chunked body that ends with FIN before its last chunk': `Transfer-Encoding: chunked\r\n\r\n3e8\r\n${body}\r\n`,
  'a chunk that is shorter than it says': `Transfer-Encoding: chunked\r\n\r\n7d0\r\n${body}`,
  'a chunk whose size is no number': `Transfer-Encoding: chunked\r\n\r\n3e8\r\n${body}\r\nzz\r\n`,
  'a body shorter than its length': `Content-Length: 2000000\r\n\r\n${body}`,
  'a body that ends with its connection': `Content-Type: application/json\r\n\r\n${body}`,
  'an event stream that ends with its connection': 'Content-Type: text/event-stream\r\n\r\ndata: a\n\n',
}

test.each(Object.entries(broken))('%s is cut, and never recorded as complete', async (_, rest) => {
  raw.serve = (socket) => socket.end(`HTTP/1.1 200 OK\r\n${rest}`)
  raw.requests.length = 0
  const key = freshKey()
  for (let round = 0; round < 2; round++) {
    const answer = await send(bytewise, { key })
    expect([answer.how, answer.complete]).toEqual(['executed', false])
  }
  expect(raw.requests).toHaveLength(2)
})

test('a small body shorter than its length is no answer at all: 502, which may have run', async () => {
  raw.serve = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"half":')
  const answer = await send(bytewise, { key: freshKey() })
  expect([answer.status, answer.json['code'], answer.json['may_have_run']]).toEqual([502, 'upstream_unreachable', true])
})

test('a cut 429 still says that nothing was executed', async () => {
  raw.serve = (socket) => socket.end('HTTP/1.1 429 Slow\r\nContent-Length: 100\r\n\r\nhalf')
  const key = freshKey()
  expect((await send(bytewise, { key })).status).toBeGreaterThanOrEqual(400)
  raw.serve = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  expect((await send(bytewise, { key })).text).toBe('ok')
})

test('a stream with its terminator is whole even where its end is that of the connection', async () => {
  raw.serve = (socket) => socket.end(`HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n${wholeOf(openai)}`)
  const key = freshKey()
  const first = await send(bytewise, { key, path: openai.path })
  const second = await send(bytewise, { key, path: openai.path })
  expect([first.text, first.complete]).toEqual([wholeOf(openai), true])
  expect([second.text, second.how]).toEqual([wholeOf(openai), 'replayed'])
})

test.each([
  ['covered', `POST ${openai.path} HTTP/1.0\r\nAuthorization: a\r\nIdempotency-Key: ${freshKey()}\r\n\r\n`],
  ['passed through', 'GET /v1/events HTTP/1.0\r\n\r\n'],
])('a caller over HTTP/1.0 gets a reset for an end when his request was %s', async (_, request) => {
  // HTTP/1.0 knows no chunks (nginx speaks it to its upstreams by default), so a plain close would look like the end.
  const client = new RawClient(gateway.port)
  client.write(request)
  const { response } = await upstream.call()
  response.write(openai.begin[0])
  // Node itself takes a reset that comes together with bytes for an end, so they come apart.
  await client.has(openai.begin[0] as string)
  response.destroy()
  expect(await client.closed).toBe('RST')
})

test('a caller over HTTP/1.0 gets a whole stream and a clean end', async () => {
  upstream.reset(({ response }) => {
    beginEvents(response)
    response.end(wholeOf(openai))
  })
  const client = new RawClient(gateway.port)
  client.write(`POST ${openai.path} HTTP/1.0\r\nAuthorization: a\r\nIdempotency-Key: ${freshKey()}\r\n\r\n`)
  expect(await client.closed).toBe('FIN')
  expect(client.text.slice(client.text.indexOf('\r\n\r\n') + 4)).toBe(wholeOf(openai))
})

test('a failed answer that is cut is settled before its caller knows, so that his retry runs', async () => {
  for (let round = 0; round < 10; round++) {
    upstream.reset(({ response }, count) => {
      if (count > 1) return json(response, { count })
      beginEvents(response)
      response.end(openai.begin.join(''))
    })
    const key = freshKey()
    const first = open(gateway, { key, path: openai.path })
    await first.ended
    const again = await send(gateway, { key, path: openai.path })
    expect([again.how, again.complete]).toEqual(['executed', true])
  }
})
