/** Requests without a key: only a declared retry is matched, unless content is (http.md, Requests without a key). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openai, wholeOf } from './events.ts'
import {
  type Answer,
  answerOf,
  beginEvents,
  freshKey,
  type GatewayProgram,
  json,
  open,
  type ScriptedUpstream,
  type Sent,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'

let upstream: ScriptedUpstream
let retries: GatewayProgram
let content: GatewayProgram
let off: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  retries = await startGateway(upstream)
  content = await startGateway(upstream, ['--keyless', 'content'])
  off = await startGateway(upstream, ['--keyless', 'off'])
})
afterAll(async () => {
  await Promise.all([retries.kill(), content.kill(), off.kill()])
  upstream.close()
})
beforeEach(() => upstream.reset())

const count = (declared: number): string[] => ['X-Stainless-Retry-Count', String(declared)]
/** A body nobody has sent before. */
const fresh = (): string => `prompt ${freshKey()}`

describe('under retries', () => {
  const attempt = (body: string, declared: number, more: Partial<Sent> = {}): Promise<Answer> =>
    send(retries, { body, headers: count(declared), ...more })

  /** A first attempt whose caller hangs up before the answer. */
  async function lost(body: string): Promise<Awaited<ReturnType<ScriptedUpstream['call']>>> {
    upstream.script = () => undefined
    const asking = open(retries, { body, headers: count(0) })
    const call = await upstream.call(upstream.calls.length + 1)
    asking.hangUp()
    await asking.ended
    // Once another connection is served, the hang-up has been seen: an answer that overtakes it counts as received.
    expect((await send(retries, { key: '""' })).status).toBe(400)
    return call
  }

  test('equal requests that declare no retry all execute', async () => {
    const body = fresh()
    const answers = [await attempt(body, 0), await attempt(body, 0), await send(retries, { body })]
    expect(answers.map(({ how }) => how)).toEqual(['executed', 'executed', 'executed'])
    expect(upstream.calls).toHaveLength(3)
  })

  test('a declared retry of a lost attempt that still runs gets its answer', async () => {
    const body = fresh()
    const call = await lost(body)
    const retry = open(retries, { body, headers: count(1) })
    setTimeout(() => json(call.response, { once: true }), 50)
    const answer = await answerOf(retry)
    expect([answer.how, answer.header('idempotent-replayed'), answer.json]).toEqual([
      'inferred',
      'true',
      { once: true },
    ])
    expect(upstream.calls).toHaveLength(1)
  })

  test('a declared retry of a lost attempt that has ended gets its answer', async () => {
    const body = fresh()
    const call = await lost(body)
    json(call.response, { once: true })
    await call.closed
    const answer = await attempt(body, 2)
    expect([answer.how, answer.json, upstream.calls.length]).toEqual(['inferred', { once: true }, 1])
    expect(answer.header('idempotency-key')).toBeUndefined()
  })

  test('a declared retry joins a lost stream from its first event', async () => {
    upstream.reset(({ response }) => beginEvents(response))
    const body = fresh()
    const first = open(retries, { body, path: openai.path, headers: count(0) })
    const { response } = await upstream.call()
    response.write(openai.begin[0])
    await first.has(openai.begin[0] as string)
    first.hangUp()
    await first.ended
    const retry = open(retries, { body, path: openai.path, headers: count(1) })
    await retry.has(openai.begin[0] as string)
    response.end(openai.begin[1] + openai.end)
    const answer = await answerOf(retry)
    expect([answer.how, answer.text, answer.complete]).toEqual(['inferred', wholeOf(openai), true])
    expect(upstream.calls).toHaveLength(1)
  })

  test('one lost attempt goes to one retry', async () => {
    const body = fresh()
    const call = await lost(body)
    json(call.response, { once: true })
    await call.closed
    upstream.script = ({ response }) => json(response, { again: true })
    expect((await attempt(body, 1)).how).toBe('inferred')
    expect((await attempt(body, 1)).how).toBe('executed')
    expect(upstream.calls).toHaveLength(2)
  })

  test('an attempt whose caller got his answer is nobody’s to adopt', async () => {
    const body = fresh()
    await attempt(body, 0)
    expect((await attempt(body, 1)).how).toBe('executed')
    expect(upstream.calls).toHaveLength(2)
  })

  test.each([
    ['another body', { body: 'something else' }],
    ['another tenant', { as: 'Bearer mallory' }],
    ['another path', { path: '/v1/elsewhere' }],
  ])('a declared retry with %s adopts nothing', async (_, more) => {
    const body = fresh()
    const call = await lost(body)
    json(call.response, { once: true })
    await call.closed
    upstream.script = ({ response }) => json(response, { fresh: true })
    const answer = await attempt(body, 1, more)
    expect([answer.how, answer.json]).toEqual(['executed', { fresh: true }])
  })

  test('a refusal leaves the attempt to the next retry', async () => {
    upstream.reset(({ response }, calls) => (calls === 1 ? json(response, {}, 429) : json(response, { calls })))
    const body = fresh()
    expect((await attempt(body, 0)).status).toBe(429)
    const answer = await attempt(body, 1)
    expect([answer.status, answer.json]).toEqual([200, { calls: 2 }])
  })

  test('a cut stream is run again for the retry, whole', async () => {
    upstream.reset(({ response }, calls) => {
      beginEvents(response)
      response.end(calls === 1 ? openai.begin.join('') : wholeOf(openai))
    })
    const body = fresh()
    expect((await attempt(body, 0, { path: openai.path })).complete).toBe(false)
    const retry = await attempt(body, 1, { path: openai.path })
    expect([retry.complete, retry.text, upstream.calls.length]).toEqual([true, wholeOf(openai), 2])
  })
})

describe('under content', () => {
  test('equal content is one operation, and says that this was inferred', async () => {
    const body = fresh()
    const first = await send(content, { body })
    const second = await send(content, { body })
    expect([first.how, second.how, second.text]).toEqual(['executed', 'inferred', first.text])
    expect((await send(content, { body: fresh() })).how).toBe('executed')
    expect((await send(content, { body, as: 'Bearer mallory' })).how).toBe('executed')
    expect(upstream.calls).toHaveLength(3)
  })

  test('equal requests that run together are one call', async () => {
    upstream.reset(({ response }, calls) => setTimeout(() => json(response, { calls }), 50))
    const body = fresh()
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(content, { body })))
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['{"calls":1}']))
    expect(upstream.calls).toHaveLength(1)
  })

  test('a key of its own or Cache-Control: no-store opts out', async () => {
    const body = fresh()
    await send(content, { body })
    expect((await send(content, { body, key: freshKey() })).how).toBe('executed')
    expect((await send(content, { body, headers: ['Cache-Control', 'no-cache, No-Store'] })).how).toBe('bypassed')
    expect(upstream.calls).toHaveLength(3)
  })
})

test('under off everything without a key passes, declared retries as well, and says so', async () => {
  const body = fresh()
  const answers = [await send(off, { body }), await send(off, { body, headers: count(1) })]
  expect(answers.map(({ how }) => how)).toEqual(['ignored', 'ignored'])
  expect(upstream.calls).toHaveLength(2)
  const key = freshKey()
  await send(off, { body, key })
  expect((await send(off, { body, key })).how).toBe('replayed')
})
