/** What takes its time by contract: keep-alive after fifteen seconds of silence, thirty for a keyless drain. */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openai, wholeOf } from './events.ts'
import {
  type Answering,
  answerOf,
  beginEvents,
  freshKey,
  type GatewayProgram,
  open,
  type ScriptedUpstream,
  type Sent,
  send,
  startGateway,
  startUpstream,
  type UpstreamCall,
  until,
} from './harness.ts'

const comment = ': keep-alive\n\n'
const key = freshKey()
const [first, second] = openai.begin as [string, string]

let upstream: ScriptedUpstream
let gateway: GatewayProgram
let startedMs: number

/** One stream that has begun and now is silent. All begin together, so that they take as long as the longest. */
interface Begun {
  readonly call: UpstreamCall
  readonly reader: Answering
}
let whole: Begun
let joiner: Answering
let inside: Begun
let coded: Begun
let plain: Begun
let keyless: Begun

beforeAll(async () => {
  upstream = await startUpstream(({ response, headers }) => {
    if (headers['x-plain'] !== undefined) response.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
    else beginEvents(response, headers['accept-encoding'] === 'gzip' ? { 'Content-Encoding': 'gzip' } : {})
  })
  gateway = await startGateway(upstream)
  const begin = async (sent: Sent, bytes: string | Buffer): Promise<Begun> => {
    const before = upstream.calls.length
    const reader = open(gateway, { path: openai.path, ...sent })
    const call = await upstream.call(before + 1)
    call.response.write(bytes)
    await until(() => reader.bytes.length > 0)
    return { call, reader }
  }
  startedMs = performance.now()
  whole = await begin({ key }, first)
  joiner = open(gateway, { path: openai.path, key })
  await joiner.has(first)
  inside = await begin({ key: freshKey() }, `${first}data: {"half`)
  coded = await begin({ key: freshKey(), headers: ['Accept-Encoding', 'gzip'] }, gzipSync(first))
  plain = await begin({ key: freshKey(), path: '/v1/lines', headers: ['X-Plain', '1'] }, '{"a":1}\n')
  keyless = await begin({ body: 'no key' }, first)
  keyless.reader.hangUp()
  await keyless.reader.ended
})
afterAll(async () => {
  await gateway.kill()
  upstream.close()
})

test('a silent stream gets a comment of its own after fifteen seconds, and so does its joiner', async () => {
  await until(() => whole.reader.text.includes(comment) && joiner.text.includes(comment), 25_000)
  const tookMs = performance.now() - startedMs
  expect(tookMs).toBeGreaterThan(14_500)
  expect([whole.reader.text, joiner.text]).toEqual([first + comment, first + comment])
})

test('no comment goes into the middle of an event, a coded body or one that is no event stream', async () => {
  // These began with the stream that has its comment, which came after theirs would have been due.
  await until(() => performance.now() - startedMs > 17_000)
  expect(inside.reader.text).toBe(`${first}data: {"half`)
  expect(coded.reader.bytes.equals(gzipSync(first))).toBe(true)
  expect(plain.reader.text).toBe('{"a":1}\n')
})

test('a comment is never recorded', async () => {
  whole.call.response.end(second + openai.end)
  const live = await answerOf(whole.reader)
  expect(live.text.replaceAll(comment, '')).toBe(wholeOf(openai))
  expect((await send(gateway, { key, path: openai.path })).text).toBe(wholeOf(openai))
})

test('a keyless call goes on for thirty seconds without its caller, and is then let go', {
  timeout: 60_000,
}, async () => {
  expect(keyless.call.response.closed).toBe(false)
  await keyless.call.closed
  const tookMs = performance.now() - startedMs
  expect(keyless.call.response.writableFinished).toBe(false)
  expect(tookMs).toBeGreaterThan(29_500)
  expect(tookMs).toBeLessThan(40_000)
})
