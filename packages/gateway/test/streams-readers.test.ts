/** Readers of every kind before one stream: those who hang up, are slow, come back, or take another coding. */
import { createGzip, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openai, wholeOf } from './events.ts'
import {
  type Answering,
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
let aborting: GatewayProgram
let small: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway(upstream)
  aborting = await startGateway(upstream, ['--on-disconnect', 'abort'])
  small = await startGateway(upstream, ['--max-outcome', '64kb'])
})
afterAll(async () => {
  await Promise.all([gateway.kill(), aborting.kill(), small.kill()])
  upstream.close()
})
beforeEach(() => upstream.reset(({ response }) => beginEvents(response)))

describe('a caller who hangs up in the middle of a stream', () => {
  test('has it read to its end, and his retry gets the whole', async () => {
    const key = freshKey()
    const owner = open(gateway, { key, path: openai.path })
    const call = await upstream.call()
    call.response.write(openai.begin[0])
    await owner.has(openai.begin[0] as string)
    owner.hangUp()
    await owner.ended
    const retry = open(gateway, { key, path: openai.path })
    await retry.has(openai.begin[0] as string)
    expect((await retry.head).headers['idempotency-status']).toBe('joined')
    call.response.write(openai.begin[1])
    await retry.has(openai.begin[1] as string)
    retry.hangUp()
    await retry.ended
    call.response.end(openai.end)
    await call.closed
    const last = await send(gateway, { key, path: openai.path })
    expect([last.text, last.complete]).toEqual([wholeOf(openai), true])
    expect(upstream.calls).toHaveLength(1)
  })

  test('has a plain answer finished too', async () => {
    upstream.reset(() => undefined)
    const key = freshKey()
    const owner = open(gateway, { key })
    const call = await upstream.call()
    owner.hangUp()
    await owner.ended
    call.response.end('{"late":true}')
    const retry = await send(gateway, { key })
    expect(retry.json).toEqual({ late: true })
    expect(upstream.calls).toHaveLength(1)
  })

  test('ends the call under --on-disconnect abort, and his retry runs it again', async () => {
    const key = freshKey()
    const owner = open(aborting, { key, path: openai.path })
    const call = await upstream.call()
    call.response.write(openai.begin[0])
    await owner.has(openai.begin[0] as string)
    owner.hangUp()
    await call.closed
    expect(call.response.writableFinished).toBe(false)
    upstream.script = ({ response }) => {
      beginEvents(response)
      response.end(wholeOf(openai))
    }
    const retry = await send(aborting, { key, path: openai.path })
    expect([retry.text, retry.complete]).toEqual([wholeOf(openai), true])
    expect(upstream.calls).toHaveLength(2)
  })

  test('ends it under abort only when the last joiner has gone', async () => {
    const key = freshKey()
    const owner = open(aborting, { key, path: openai.path })
    const call = await upstream.call()
    call.response.write(openai.begin[0])
    await owner.has(openai.begin[0] as string)
    const joiner = open(aborting, { key, path: openai.path })
    await joiner.has(openai.begin[0] as string)
    owner.hangUp()
    await owner.ended
    call.response.write(openai.begin[1])
    await joiner.has(openai.begin[1] as string)
    expect(call.response.closed).toBe(false)
    joiner.hangUp()
    await call.closed
    expect(call.response.writableFinished).toBe(false)
  })
})

describe('Last-Event-ID', () => {
  const event = (id: number): string => `id: ev-${id}\r\ndata: ${id}\r\n\r\n`
  const events = [1, 2, 3, 4].map(event)

  test('resumes a recorded stream after that event; an unknown id gets the whole', async () => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      response.end(events.join(''))
    })
    const key = freshKey()
    await send(gateway, { key })
    const after = (id: string) => send(gateway, { key, headers: ['Last-Event-ID', id] })
    expect((await after('ev-2')).text).toBe(events.slice(2).join(''))
    expect((await after('ev-4')).text).toBe('')
    expect((await after('ev-4')).complete).toBe(true)
    expect((await after('nobody')).text).toBe(events.join(''))
    expect(upstream.calls).toHaveLength(1)
  })

  test('resumes a long recorded stream, whose body is read in pieces', async () => {
    const many = Array.from({ length: 20_000 }, (_, at) => event(at))
    upstream.reset(({ response }) => {
      beginEvents(response)
      response.end(many.join(''))
    })
    const key = freshKey()
    await send(gateway, { key })
    const resumed = await send(gateway, { key, headers: ['Last-Event-ID', 'ev-15000'] })
    expect(resumed.complete).toBe(true)
    expect(resumed.text).toBe(many.slice(15_001).join(''))
  })

  test('resumes a running stream and follows it live', async () => {
    const key = freshKey()
    const owner = open(gateway, { key })
    const { response } = await upstream.call()
    response.write(events.slice(0, 3).join(''))
    await owner.has(events[2] as string)
    const back = open(gateway, { key, headers: ['Last-Event-ID', 'ev-1'] })
    const lost = open(gateway, { key, headers: ['Last-Event-ID', 'nobody'] })
    await Promise.all([back.has(events[2] as string), lost.has(events[2] as string)])
    response.end(events[3])
    expect((await answerOf(back)).text).toBe(events.slice(1).join(''))
    expect((await answerOf(lost)).text).toBe(events.join(''))
  })
})

describe('a stream in gzip', () => {
  test('is recorded verbatim, live and decoded for whoever takes no gzip', async () => {
    const key = freshKey()
    const gzip = ['Accept-Encoding', 'gzip']
    upstream.reset(({ response }) => beginEvents(response, { 'Content-Encoding': 'gzip', ETag: '"e"' }))
    const owner = open(gateway, { key, path: openai.path, headers: gzip })
    const call = await upstream.call()
    expect(call.headers['accept-encoding']).toBe('gzip')
    const coder = createGzip()
    const sent: Buffer[] = []
    coder.on('data', (bytes: Buffer) => {
      sent.push(bytes)
      call.response.write(bytes)
    })
    const push = (text: string): Promise<void> =>
      new Promise((resolve) => {
        coder.write(text)
        coder.flush(resolve)
      })
    await push(openai.begin[0] as string)
    await until(() => owner.bytes.length > 0)
    const plain = open(gateway, { key, path: openai.path })
    await plain.has(openai.begin[0] as string)
    expect((await plain.head).headers).not.toHaveProperty('content-encoding')
    await push(openai.begin[1] as string)
    await plain.has(openai.begin[1] as string)
    coder.end(openai.end)
    await new Promise((resolve) => coder.on('end', resolve))
    call.response.end()
    const coded = await answerOf(owner)
    expect([coded.complete, coded.body.equals(Buffer.concat(sent))]).toEqual([true, true])
    expect(gunzipSync(coded.body).toString()).toBe(wholeOf(openai))
    const joined = await answerOf(plain)
    expect([joined.text, joined.complete]).toEqual([wholeOf(openai), true])
    const replayed = await send(gateway, { key, path: openai.path, headers: gzip })
    expect([replayed.how, replayed.body.equals(coded.body), replayed.header('etag')]).toEqual(['replayed', true, '"e"'])
    const decoded = await send(gateway, { key, path: openai.path })
    expect([decoded.text, decoded.header('content-encoding'), decoded.header('etag')]).toEqual([
      wholeOf(openai),
      undefined,
      undefined,
    ])
  })
})

describe('an outcome over --max-outcome', () => {
  const events = Array.from({ length: 300 }, (_, at) => `data: ${at} ${'x'.repeat(1000)}\n\n`).join('')

  test.each([
    ['a stream', 'text/event-stream', false],
    ['a body of known length', 'application/json', true],
  ])('goes out whole, and later duplicates are refused: %s', async (_, type, sized) => {
    upstream.reset(({ response }) => {
      response.writeHead(200, { 'Content-Type': type, ...(sized ? { 'Content-Length': events.length } : {}) })
      response.end(events)
    })
    const key = freshKey()
    const first = await send(small, { key })
    expect([first.how, first.complete, first.text === events]).toEqual(['executed', true, true])
    for (let again = 0; again < 2; again++) {
      const later = await send(small, { key })
      expect([later.status, later.json['code']]).toEqual([409, 'outcome_not_replayable'])
      expect(later.header('x-should-retry')).toBe('false')
    }
    expect(upstream.calls).toHaveLength(1)
  })

  test('is refused to duplicates at once, while the stream still runs', async () => {
    const key = freshKey()
    const owner = open(small, { key })
    const { response } = await upstream.call()
    response.write(events)
    await until(() => owner.bytes.length === events.length)
    const duplicate = await send(small, { key })
    expect([duplicate.status, duplicate.json['code']]).toEqual([409, 'outcome_not_replayable'])
    response.end('data: end\n\n')
    expect((await answerOf(owner)).text).toBe(`${events}data: end\n\n`)
  })
})

describe('a reader who takes nothing for a while', () => {
  const block = `data: ${'x'.repeat(64 * 1024)}\n\n`
  const blocks = 24 * 16

  async function slow(key: string): Promise<Answering> {
    const reader = open(gateway, { key })
    ;(await reader.head).pause()
    return reader
  }

  /** Sends 24 MiB at the upstream's own pace, and tells when the gateway has taken all of it. */
  async function pour(): Promise<void> {
    const { response, closed } = await upstream.call()
    for (let at = 0; at < blocks; at++) response.write(block)
    response.end()
    await closed
    expect(response.writableFinished).toBe(true)
  }

  test('does not stop the recording, and gets every byte when he goes on', async () => {
    const key = freshKey()
    const owner = await slow(key)
    await pour()
    const other = await send(gateway, { key })
    expect(other.body.equals(Buffer.from(block.repeat(blocks)))).toBe(true)
    expect(owner.bytes.length).toBeLessThan(other.body.length)
    ;(await owner.head).resume()
    const answer = await answerOf(owner)
    expect([answer.complete, answer.body.equals(other.body)]).toEqual([true, true])
  })

  test('does not stall the owner when he has joined', async () => {
    const key = freshKey()
    const owner = open(gateway, { key })
    await upstream.call()
    await owner.head
    ;(await upstream.call()).response.write(block)
    await owner.has('data:')
    const joiner = await slow(key)
    expect((await joiner.head).headers['idempotency-status']).toBe('joined')
    await pour()
    const whole = await answerOf(owner)
    expect([whole.complete, whole.body.length]).toEqual([true, block.length * (blocks + 1)])
    ;(await joiner.head).resume()
    const late = await answerOf(joiner)
    expect([late.complete, late.body.equals(whole.body)]).toEqual([true, true])
  })
})
