/** H9–H12: bodies that go out as they come, hang-ups, cuts and sizes. */
import { holds, same } from './expect.ts'
import { type HttpCase, type HttpSubject, pause, type ScriptedOrigin } from './http-subject.ts'
import { bytesOf, concat } from './subject.ts'

/** Two events with ids, a door, then the last one and the end. */
const told =
  (type: string): ScriptedOrigin =>
  async ({ number }, answer, door) => {
    answer.head(200, { 'Content-Type': type })
    await answer.write(`id: 1\ndata: one of ${number}\n\n`)
    await answer.write(`id: 2\ndata: two of ${number}\n\n`)
    await door.passed
    await answer.write(`id: 3\ndata: three of ${number}\n\n`)
    answer.end()
  }

const whole = 'id: 1\ndata: one of 1\n\nid: 2\ndata: two of 1\n\nid: 3\ndata: three of 1\n\n'

const large = bytesOf(3_000_000)

const piecewise: ScriptedOrigin = async (_, answer) => {
  answer.head(200, { 'Content-Type': 'application/octet-stream' })
  for (let at = 0; at < large.length; at += 50_000) await answer.write(large.subarray(at, at + 50_000))
  answer.end()
}

/** Streams. */
export const streams: readonly HttpCase[] = [
  ...['text/event-stream', 'application/x-ndjson'].map((type) => ({
    name: `H9 the first bytes of ${type} arrive while it runs, and it is replayed verbatim`,
    origin: told(type),
    async run(s: HttpSubject) {
      const opened = await s.open({ key: 'k' })
      same([opened.status, opened.header('idempotency-status')], [200, 'executed'], 'the head')
      await opened.until('two of 1')
      s.door.open()
      const got = await opened.rest()
      same([got.text, got.cut], [whole, false], 'the stream')
      const again = await s.replays({ key: 'k' }, got)
      same(again.header('content-type'), type, 'the type of the replay')
      s.executed(1)
    },
  })),
  {
    name: 'H9 a duplicate joins a running stream from its first event and follows it',
    origin: told('text/event-stream'),
    async run(s) {
      const original = await s.open({ key: 'k' })
      await original.until('two of 1')
      const joined = await s.open({ key: 'k' })
      same(joined.header('idempotency-status'), 'joined', 'how it came about')
      same(joined.header('idempotent-replayed'), 'true', 'the mark')
      await joined.until('two of 1')
      s.door.open()
      same((await joined.rest()).text, whole, 'the stream of the one who joined')
      same((await original.rest()).text, whole, 'the stream of the original')
      s.executed(1)
    },
  },
  {
    name: 'H9 Last-Event-ID resumes a recorded stream behind that event',
    origin: told('text/event-stream'),
    async run(s) {
      s.door.open()
      await s.send({ key: 'k' })
      const resumed = await s.send({ key: 'k', headers: { 'Last-Event-ID': '2' } })
      same(resumed.text, 'id: 3\ndata: three of 1\n\n', 'what is left')
      same((await s.send({ key: 'k', headers: { 'Last-Event-ID': 'nobody' } })).text, whole, 'behind an unknown event')
      s.executed(1)
    },
  },
  {
    name: 'H9 an event stream without an event, ended cleanly, is an answer too',
    origin: (_, answer) => {
      answer.head(200, { 'Content-Type': 'application/x-ndjson' })
      answer.end()
    },
    async run(s) {
      const got = await s.send({ key: 'k' })
      same([got.status, got.bytes.length, got.cut], [200, 0, false], 'the answer')
      await s.replays({ key: 'k' }, got)
      s.executed(1)
    },
  },
  {
    name: 'H9 a provider stream that ends without its terminator is cut, and never replayed',
    origin: async ({ number }, answer) => {
      answer.head(200, { 'Content-Type': 'text/event-stream' })
      await answer.write('data: {"choices":[]}\n\n')
      answer.end(number === 1 ? undefined : 'data: [DONE]\n\n')
    },
    async run(s) {
      const path = '/v1/chat/completions'
      holds((await s.send({ key: 'k', path })).cut, 'the caller sees that the stream broke off')
      const again = await s.send({ key: 'k', path })
      same(again.text, 'data: {"choices":[]}\n\ndata: [DONE]\n\n', 'the second execution')
      await s.replays({ key: 'k', path }, again)
      s.executed(2)
    },
  },
  {
    name: 'H10 a large body goes through whole, to a caller who waits before he reads, and is replayed',
    origin: piecewise,
    async run(s) {
      const opened = await s.open({ key: 'k' })
      await pause(100)
      const got = await opened.rest()
      same([got.bytes, got.cut], [large, false], 'the body')
      await s.replays({ key: 'k' }, got)
      s.executed(1)
    },
  },
  {
    name: 'H10 an answer over the limit goes through, and is refused to duplicates without being executed again',
    options: { maxOutcomeBytes: 1_000_000 },
    origin: piecewise,
    async run(s) {
      const got = await s.send({ key: 'k' })
      same([got.bytes, got.cut], [large, false], 'the body')
      s.refused(await s.send({ key: 'k' }), 409, 'outcome_not_replayable', false)
      s.executed(1)
    },
  },
  {
    name: 'H10 a request body over the limit is refused before the handler, whether its length is told or not',
    options: { maxBodyBytes: 1_000 },
    async run(s) {
      const sent = { key: 'k' }
      s.refused(await s.send({ ...sent, body: bytesOf(2_000) }), 413, 'body_too_large', false)
      same((await s.send({ ...sent, body: bytesOf(1_000) })).status, 201, 'a body of the limit')
      const stream = new Blob([concat([bytesOf(600), bytesOf(600)]) as Uint8Array<ArrayBuffer>]).stream()
      const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': 'l', Authorization: 'Bearer alice' }
      const init = { method: 'POST', body: stream, duplex: 'half', headers }
      same((await fetch(`${s.url}/things`, init as RequestInit)).status, 413, 'a body without a length')
      s.executed(1)
    },
  },
  {
    name: 'H11 a caller who hangs up leaves the execution to its end, and the retry gets it',
    origin: told('text/event-stream'),
    async run(s) {
      const opened = await s.open({ key: 'k' })
      await opened.until('one of 1')
      opened.leave()
      await pause(50)
      s.door.open()
      const got = await s.send({ key: 'k' })
      same([got.text, got.cut], [whole, false], 'what the retry gets')
      await s.replays({ key: 'k' }, got)
      s.executed(1)
    },
  },
  {
    name: 'H11 so does one who hangs up before the head',
    origin: async ({ number }, answer, door) => {
      await door.passed
      answer.head(200)
      answer.end(`late ${number}`)
    },
    async run(s) {
      const hangUp = new AbortController()
      const lost = s.begin({ key: 'k', signal: hangUp.signal }).catch(() => 'lost')
      await s.running()
      hangUp.abort()
      same(await lost, 'lost', 'the first request')
      await pause(50)
      const retry = s.begin({ key: 'k' })
      s.door.open()
      same([(await retry).text, s.executions], ['late 1', 1], 'what the retry gets')
    },
  },
  {
    name: 'H12 a stream that breaks off does so for those who joined it, and the next request executes',
    origin: async ({ number }, answer, door) => {
      answer.head(200, { 'Content-Type': 'text/event-stream' })
      await answer.write(`data: one of ${number}\n\n`)
      await door.passed
      if (number === 1) throw new Error('planted by the conformance suite')
      answer.end('data: end\n\n')
    },
    async run(s) {
      const original = await s.open({ key: 'k' })
      await original.until('one of 1')
      const joined = await s.open({ key: 'k' })
      await joined.until('one of 1')
      s.door.open()
      same([(await original.rest()).cut, (await joined.rest()).cut], [true, true], 'the cuts')
      const again = await s.send({ key: 'k' })
      same([again.text, again.cut], ['data: one of 2\n\ndata: end\n\n', false], 'the second execution')
      await s.replays({ key: 'k' }, again)
      s.executed(2)
    },
  },
]
