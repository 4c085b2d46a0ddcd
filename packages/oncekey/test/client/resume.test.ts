/** A cut answer goes on where it was cut: each byte once, the same answer or an error, and never a second paid call. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bodyBytes, bodyStart } from '../../src/client/bytes.ts'
import { idempotentFetch } from '../../src/client/index.ts'
import type { StreamReader } from '../../src/core/reader.ts'
import type { HttpCaller } from '../../src/http/caller.ts'
import { pump } from '../../src/http/pump.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { type Answer, broken, cut, hastyClock, type Server, scripted, whole } from './world.ts'

let server: Server
beforeAll(async () => {
  server = await scripted()
})
afterAll(() => server.close())

const post = { method: 'POST', body: '{"wish":1}' }
const stream = 'data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n'
const keepAlive = ': keep-alive\n\n'
const as = (status: string, more: Record<string, string> = {}) => ({
  'idempotency-status': status,
  'content-type': 'text/event-stream',
  ...more,
})

/** Reads an answer to its end; `got` is what the reader had, also of one that failed. */
async function read(answers: readonly Answer[], options: { retries?: number } = {}) {
  server.script(...answers)
  const clock = hastyClock()
  const answer = await idempotentFetch({ clock, ...options })(server.url, post)
  let got = ''
  let error: string | undefined
  try {
    const decoder = new TextDecoder()
    for await (const piece of answer.body ?? []) got += decoder.decode(piece, { stream: true })
  } catch (caught) {
    error = (caught as Error).message
  }
  const sent = new Set(server.asked.map(({ key, body }) => `${key} ${body}`))
  return { got, error, times: server.asked.length, requests: sent.size, answer, clock }
}

describe('a cut stream goes on', () => {
  for (const at of [0, 1, 13, 15, 16, stream.length - 1, stream.length]) {
    test(`after ${at} bytes, each byte once and with the same key`, async () => {
      const { got, error, times, requests } = await read([
        cut(as('executed'), stream.slice(0, at)),
        whole(200, as('replayed'), stream),
      ])
      expect({ got, error, times, requests }).toEqual({ got: stream, error: undefined, times: 2, requests: 1 })
    })
  }
  test('through three more cuts, live ones, and a server that is away in between', async () => {
    const { got, error } = await read([
      cut(as('executed'), stream.slice(0, 5)),
      broken,
      whole(503, { 'retry-after': '1' }),
      cut(as('joined'), stream.slice(0, 20)),
      cut(as('joined'), stream.slice(0, 3)),
      cut(as('joined'), stream.slice(0, 30)),
      whole(200, as('replayed'), stream),
    ])
    expect({ got, error }).toEqual({ got: stream, error: undefined })
  })
  test('though a keep-alive came before the cut, or comes behind it', async () => {
    for (const [before, after] of [
      [`data: {"n":1}\n\n${keepAlive}dat`, stream],
      [`data: {"n":1}\n\n${keepAlive}: keep`, stream],
      ['data: {"n":1}\n\nda', `${keepAlive}data: {"n":1}\n\n${keepAlive}${stream.slice(15)}`],
    ] as const) {
      const { got, error } = await read([cut(as('executed'), before), whole(200, as('joined'), after)])
      expect({ got, error }).toEqual({ got: stream, error: undefined })
    }
  })
  test('where the body is no event stream', async () => {
    const json = { 'idempotency-status': 'executed', 'content-type': 'application/json' }
    const { got, error } = await read([
      cut(json, '{"a":'),
      whole(200, { ...json, 'idempotency-status': 'replayed' }, '{"a":1}'),
    ])
    expect({ got, error }).toEqual({ got: '{"a":1}', error: undefined })
  })
  test('with an execution of its own where nothing was given yet', async () => {
    const { got, error } = await read([cut(as('executed'), ''), whole(200, as('executed'), stream)])
    expect({ got, error }).toEqual({ got: stream, error: undefined })
  })
  test('and is otherwise what the server sent: status, headers and URL', async () => {
    const { answer } = await read([whole(203, as('executed', { 'x-request-id': 'r1' }), stream)])
    expect([answer.status, answer.url, answer.headers.get('x-request-id')]).toEqual([203, server.url, 'r1'])
  })
})

describe('a cut stream ends in an error', () => {
  const control = cut(as('executed'), stream.slice(0, 20))
  const wrong: readonly [why: string, Answer, RegExp][] = [
    ['when the retry was executed', whole(200, as('executed'), stream), /after 20 bytes.*answered 200 \(executed\)/],
    ['when the retry was not recorded', whole(200, {}, stream), /answered 200 \(not recorded\)/],
    ['when the retry was refused', whole(409, as('refused')), /answered 409 \(refused\)/],
    ['when the retry has another status', whole(201, as('replayed'), stream), /answered 201/],
    ['when the bytes are others', whole(200, as('joined'), stream.replace('1', '7')), /another answer/],
    ['when there are fewer', whole(200, as('replayed'), stream.slice(0, 19)), /another answer/],
  ]
  for (const [why, answer, message] of wrong) {
    test(`${why}, and gives none of its bytes`, async () => {
      const { got, error, times } = await read([control, answer])
      expect(got).toBe(stream.slice(0, 20))
      expect(error).toMatch(message)
      expect(times).toBe(2)
    })
  }
  test('when its retries are over, with the error of the cut, and begins anew to count where there was progress', async () => {
    const { got, error, times } = await read([control, broken], { retries: 2 })
    expect({ got, error: error !== undefined, times }).toEqual({ got: stream.slice(0, 20), error: true, times: 3 })
    const further = [10, 20, 30].map((to) => cut(as('joined'), stream.slice(0, to)))
    const again = await read([...further, whole(200, as('replayed'), stream)], { retries: 1 })
    expect(again.got).toBe(stream)
  })
  for (const [why, headers] of [
    ['the server is no Oncekey', { 'content-type': 'text/event-stream' }],
    ['the answer was not recorded', as('bypassed')],
    ['the store was away', as('executed', { 'idempotency-recorded': '?0' })],
  ] as const) {
    test(`without asking again when ${why}`, async () => {
      const { error, times } = await read([cut(headers, stream.slice(0, 20)), whole(200, as('replayed'), stream)])
      expect({ failed: error !== undefined, times }).toEqual({ failed: true, times: 1 })
    })
  }
  test('at once when the caller aborts', async () => {
    server.script((response) => void response.writeHead(200, as('executed')).write(stream.slice(0, 20)))
    const leaving = new AbortController()
    const clock = hastyClock()
    const answer = await idempotentFetch({ clock })(server.url, { ...post, signal: leaving.signal })
    const reader = answer.body?.getReader()
    await reader?.read()
    leaving.abort(new Error('enough'))
    await expect(reader?.read()).rejects.toThrow('enough')
    expect(clock.pausesMs).toEqual([])
    expect(server.asked).toHaveLength(1)
  })
  test('and a reader who leaves ends the connection and asks for nothing more', async () => {
    let isClosed = false
    server.script((response) => {
      response.on('close', () => {
        isClosed = true
      })
      response.writeHead(200, as('executed')).write(stream.slice(0, 20))
    })
    const answer = await idempotentFetch()(server.url, post)
    const reader = answer.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await expect.poll(() => isClosed).toBe(true)
    expect(server.asked).toHaveLength(1)
  })
})

/** A stream of events with either line end, keep-alives in some places, in pieces that break anywhere. */
const events = fc.array(
  fc.record({
    text: fc.stringMatching(/^[:k \na-z]{0,9}$/),
    silent: fc.boolean(),
    end: fc.constantFrom('\n\n', '\r\n\r\n'),
  }),
  { maxLength: 8 },
)

describe('the bytes of a body', () => {
  test('are the recorded ones without keep-alives, each once, wherever it is cut and however it comes in pieces', () => {
    fc.assert(
      fc.property(events, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 40 }), (made, cutAt, seed, most) => {
        const recorded = made.map(({ text, end }) => `data: ${text.replaceAll('\n', '')}${end}`).join('')
        const live = made
          .map(({ text, end, silent }) => `data: ${text.replaceAll('\n', '')}${end}${silent ? keepAlive : ''}`)
          .join('')
        const first = bodyBytes(bodyStart, true)
        const sent = Buffer.from(live).subarray(0, cutAt % (live.length + 1))
        const had = Buffer.concat(piecesOf(sent, seed, most).map((piece) => first.push(piece)))
        const second = bodyBytes(first.mark(), true)
        const rest = piecesOf(Buffer.from(seed % 2 === 0 ? recorded : live), seed, most).map((piece) =>
          second.push(piece),
        )
        const all = Buffer.concat([had, ...rest, second.push()])
        expect(all.toString()).toBe(recorded)
        expect(second.isOther()).toBe(false)
      }),
      { numRuns: 300 },
    )
  })
  test('lack the keep-alive that the layer really sends', async () => {
    const clock = manualClock()
    const sent: Uint8Array[] = []
    const caller = { started: true, write: (bytes: Uint8Array) => sent.push(bytes) > 0, onLeave: () => () => undefined }
    const reader = { state: 'live', offset: 0, read: () => undefined, close: () => undefined }
    const options = { clock, start: () => undefined, mayComment: () => true, eager: true }
    void pump(reader as unknown as StreamReader, caller as unknown as HttpCaller, options)
    await clock.advance(15_000)
    expect(sent).toHaveLength(1)
    expect(bodyBytes(bodyStart, true).push(sent[0])).toHaveLength(0)
  })
  test('keep what only begins like a keep-alive', () => {
    for (const body of [
      ': keep',
      ': keep-alive',
      ': keep-alive\n',
      ': keep-alive\ndata: 1\n\n',
      ':: keep-alive\n\n',
      'x\n: keep-alive\n\n',
    ]) {
      const read = bodyBytes(bodyStart, true)
      const got = Buffer.concat([read.push(Buffer.from(body)), read.push()]).toString()
      expect(got).toBe(body)
    }
  })
  test('keep a keep-alive where the body is no event stream', () => {
    expect(Buffer.from(bodyBytes(bodyStart, false).push(Buffer.from(keepAlive))).toString()).toBe(keepAlive)
  })
  test('are known for others from one that differs', () => {
    const first = bodyBytes(bodyStart, true)
    first.push(Buffer.from('data: {"id":"a"}\n\n'))
    const second = bodyBytes(first.mark(), true)
    second.push(Buffer.from('data: {"id":"b"}\n\nmore'))
    expect(second.isOther()).toBe(true)
  })
})

function piecesOf(bytes: Buffer, seed: number, most: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0, step = seed; at < bytes.length; step = (step * 7 + 3) % 1_000_003) {
    const length = 1 + (step % most)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}
