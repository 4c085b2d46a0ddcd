/** Streams while they run and when they are over: bytes as they came, to everybody who asks (http.md, Streams). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openai, streamCases, wholeOf } from './events.ts'
import {
  answerOf,
  beginEvents,
  freshKey,
  type GatewayProgram,
  open,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
  until,
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
beforeEach(() => upstream.reset(({ response }) => beginEvents(response)))

test('the head arrives while the upstream is still silent', async () => {
  const answering = open(gateway, { key: freshKey(), path: openai.path })
  const head = await answering.head
  expect([head.statusCode, head.headers['content-type']]).toEqual([200, 'text/event-stream'])
  expect(head.headers['idempotency-status']).toBe('executed')
  expect(answering.bytes).toHaveLength(0)
  ;(await upstream.call()).response.end(wholeOf(openai))
  expect((await answering.ended).complete).toBe(true)
})

test('every event arrives before the next one is sent', async () => {
  const answering = open(gateway, { key: freshKey(), path: openai.path })
  const { response } = await upstream.call()
  for (let count = 0; count < 5; count++) {
    response.write(`data: {"object":"chat.completion.chunk","count":${count}}\n\n`)
    await answering.has(`"count":${count}}\n\n`)
  }
  response.end('data: [DONE]\n\n')
  expect((await answerOf(answering)).text).toContain('[DONE]')
})

describe('verbatim', () => {
  test.each([
    ['line feeds', 'data: a\n\ndata: b\n\n'],
    ['carriage returns and line feeds', 'data: a\r\n\r\nevent: x\r\ndata: b\r\n\r\n'],
    ['carriage returns alone', 'data: a\r\rdata: b\r\r'],
    ['comments and retry times', ': hello\n\nretry: 10\n\ndata: a\n\n: bye\n\n'],
    ['a byte order mark', '\uFEFFdata: a\n\n'],
    ['an event without a blank line at its end', 'data: a\n\ndata: b'],
    ['ids and names', 'id: 1\nevent: e\ndata: a\n\nid: 2\ndata:b\n\n'],
    ['no event at all', ''],
  ])('are %s, live and replayed', async (_, events) => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      // Byte by byte would be one write on the wire; halves cut lines in their middle.
      response.write(events.slice(0, events.length / 2))
      setImmediate(() => response.end(events.slice(events.length / 2)))
    })
    const key = freshKey()
    const first = await send(gateway, { key })
    const second = await send(gateway, { key })
    expect([first.text, first.complete, first.how]).toEqual([events, true, 'executed'])
    expect([second.text, second.complete, second.how]).toEqual([events, true, 'replayed'])
    expect(second.header('content-type')).toBe('text/event-stream')
  })

  test.each(streamCases)('is the stream of $name, live and replayed', async (stream) => {
    const key = freshKey()
    const answering = open(gateway, { key, path: stream.path })
    const { response } = await upstream.call()
    for (const event of [...stream.begin, stream.end]) response.write(event)
    response.end()
    const first = await answerOf(answering)
    const second = await send(gateway, { key, path: stream.path })
    expect([first.text, first.complete]).toEqual([wholeOf(stream), true])
    expect([second.text, second.complete, second.how]).toEqual([wholeOf(stream), true, 'replayed'])
    expect(upstream.calls).toHaveLength(1)
  })
})

test('what follows the terminator is passed on and recorded', async () => {
  const key = freshKey()
  const answering = open(gateway, { key, path: openai.path })
  const { response } = await upstream.call()
  response.write(wholeOf(openai))
  setTimeout(() => response.end(': after the end\n\n'), 100)
  const whole = `${wholeOf(openai)}: after the end\n\n`
  expect((await answerOf(answering)).text).toBe(whole)
  expect((await send(gateway, { key, path: openai.path })).text).toBe(whole)
})

test('the terminator reaches nobody before the stream is recorded', async () => {
  const key = freshKey()
  const answering = open(gateway, { key, path: openai.path })
  const { response } = await upstream.call()
  response.write(openai.begin.join('') + openai.end)
  await answering.has(openai.begin.at(-1) as string)
  // The upstream has not ended, so the record is not settled: a duplicate is still a joiner.
  const joiner = open(gateway, { key, path: openai.path })
  expect((await joiner.head).headers['idempotency-status']).toBe('joined')
  expect(answering.text).not.toContain('[DONE]')
  response.end()
  await Promise.all([answering.ended, joiner.ended])
  expect([answering.text, joiner.text]).toEqual([wholeOf(openai), wholeOf(openai)])
})

test.each(streamCases.filter(({ needsCleanEnd }) => !needsCleanEnd))(
  'a retry sent at the sight of the terminator of $name is a replay, twenty times of twenty',
  async (stream) => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      response.end(wholeOf(stream))
    })
    const found: (string | undefined)[] = []
    for (let round = 0; round < 20; round++) {
      const key = freshKey()
      const answering = open(gateway, { key, path: stream.path })
      await answering.has(stream.end)
      found.push((await send(gateway, { key, path: stream.path })).how)
    }
    expect(found).toEqual(new Array(20).fill('replayed'))
  },
)

test('a duplicate of a running stream gets it from its first event, and then follows live', async () => {
  const key = freshKey()
  const owner = open(gateway, { key, path: openai.path })
  const { response } = await upstream.call()
  response.write(openai.begin[0])
  await owner.has(openai.begin[0] as string)
  const joiners = Array.from({ length: 3 }, () => open(gateway, { key, path: openai.path }))
  for (const joiner of joiners) {
    await joiner.has(openai.begin[0] as string)
    expect((await joiner.head).headers).toMatchObject({ 'idempotency-status': 'joined', 'idempotent-replayed': 'true' })
  }
  response.write(openai.begin[1])
  for (const joiner of joiners) await joiner.has(openai.begin[1] as string)
  response.end(openai.end)
  for (const reader of [owner, ...joiners]) {
    const answer = await answerOf(reader)
    expect([answer.text, answer.complete]).toEqual([wholeOf(openai), true])
  }
  expect(upstream.calls).toHaveLength(1)
})

test('a joiner that hangs up harms neither the owner nor the record', async () => {
  const key = freshKey()
  const owner = open(gateway, { key, path: openai.path })
  const { response } = await upstream.call()
  response.write(openai.begin[0])
  const joiner = open(gateway, { key, path: openai.path })
  await joiner.has(openai.begin[0] as string)
  joiner.hangUp()
  await joiner.ended
  response.end(openai.begin[1] + openai.end)
  expect((await answerOf(owner)).text).toBe(wholeOf(openai))
  expect((await send(gateway, { key, path: openai.path })).text).toBe(wholeOf(openai))
})

test('any long answer is live, not only event streams', async () => {
  for (const headers of [{ 'Content-Length': String(2 * 1024 * 1024) }, {}]) {
    upstream.reset(({ response }) => response.writeHead(200, headers))
    const half = Buffer.alloc(1024 * 1024, 'h')
    const key = freshKey()
    const answering = open(gateway, { key })
    const { response } = await upstream.call()
    response.write(half)
    await until(() => answering.bytes.length >= half.length / 2)
    response.end(half)
    const answer = await answerOf(answering)
    expect([answer.body.length, answer.complete]).toEqual([2 * half.length, true])
    expect((await send(gateway, { key })).body.equals(answer.body)).toBe(true)
  }
})

test('trailers reach the first caller, and no replay', async () => {
  upstream.reset(({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/plain', Trailer: 'X-Sum' })
    response.write('body')
    response.addTrailers({ 'X-Sum': '42' })
    response.end()
  })
  const key = freshKey()
  const first = await send(gateway, { key })
  const second = await send(gateway, { key })
  expect([first.text, first.trailers]).toEqual(['body', ['X-Sum', '42']])
  expect([second.text, second.trailers, second.header('trailer')]).toEqual(['body', [], undefined])
})
