/** How the gateway stops: gently, then at the end of its grace, and at once when told twice (gateway.md). */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { openai, wholeOf } from './events.ts'
import {
  answerOf,
  beginEvents,
  freshKey,
  type GatewayProgram,
  json,
  open,
  RawClient,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
  until,
} from './harness.ts'

let upstream: ScriptedUpstream

beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.close())
beforeEach(() => upstream.reset())

const stopping = (gateway: GatewayProgram): Promise<void> => until(() => gateway.stderr.includes('stopping'))

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends an idle gateway at once, cleanly', async (signal) => {
  const gateway = await startGateway(upstream)
  const client = new RawClient(gateway.port)
  client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.has('{"count":1}')
  const startedMs = performance.now()
  gateway.signal(signal)
  expect(await gateway.exited).toEqual({ code: 0, signal: null })
  expect(performance.now() - startedMs).toBeLessThan(3_000)
  expect(await client.closed).toBe('FIN')
})

test('SIGTERM lets running requests end, streams and joiners among them, and then exits cleanly', async () => {
  const gateway = await startGateway(upstream)
  upstream.reset(({ response, url }) => (url === openai.path ? beginEvents(response) : undefined))
  const key = freshKey()
  const plain = open(gateway, { key: freshKey() })
  const { response: first } = await upstream.call(1)
  const stream = open(gateway, { key, path: openai.path })
  const { response: second } = await upstream.call(2)
  second.write(openai.begin[0])
  await stream.has(openai.begin[0] as string)
  const joiner = open(gateway, { key, path: openai.path })
  await joiner.has(openai.begin[0] as string)
  const passed = open(gateway, { method: 'GET' })
  const { response: third } = await upstream.call(3)
  gateway.signal('SIGTERM')
  await stopping(gateway)
  json(first, { late: true })
  third.end('late too')
  second.end(openai.begin[1] + openai.end)
  expect((await answerOf(plain)).json).toEqual({ late: true })
  expect((await answerOf(passed)).text).toBe('late too')
  for (const reader of [stream, joiner]) {
    const answer = await answerOf(reader)
    expect([answer.complete, answer.text]).toEqual([true, wholeOf(openai)])
  }
  expect(await gateway.exited).toEqual({ code: 0, signal: null })
})

test('while it stops, new requests get 503 and the connection closes', async () => {
  const gateway = await startGateway(upstream)
  upstream.reset(() => undefined)
  const running = open(gateway, { key: freshKey() })
  const { response } = await upstream.call()
  const client = new RawClient(gateway.port)
  client.write('POST /v1/a HTTP/1.1\r\nHost: a\r\n')
  await until(() => client.socket.bytesWritten > 0)
  gateway.signal('SIGTERM')
  await stopping(gateway)
  const key = freshKey()
  client.write(`Authorization: a\r\nIdempotency-Key: ${key}\r\nContent-Length: 0\r\n\r\n`)
  await client.closed
  expect(client.text).toMatch(/^HTTP\/1\.1 503 /)
  expect(client.text).toMatch(/connection: close/i)
  expect(client.text).toContain('"code":"shutting_down"')
  for (const sent of [{ key }, { method: 'GET' }, {}]) {
    const refused = await send(gateway, sent)
    expect([refused.status, refused.how, refused.json['code']]).toEqual([503, 'refused', 'shutting_down'])
    expect([refused.header('connection'), refused.header('x-should-retry')]).toEqual(['close', 'true'])
    expect(Number(refused.header('retry-after'))).toBeGreaterThanOrEqual(1)
  }
  expect((await send(gateway, { key })).header('idempotency-key')).toBe(key)
  const calls = upstream.calls.length
  response.end('done')
  expect((await answerOf(running)).text).toBe('done')
  expect(await gateway.exited).toEqual({ code: 0, signal: null })
  expect(upstream.calls).toHaveLength(calls)
})

test('it waits for what nobody listens to any more, since that was paid for', async () => {
  const gateway = await startGateway(upstream)
  upstream.reset(() => undefined)
  const gone = open(gateway, { key: freshKey() })
  const call = await upstream.call()
  gone.hangUp()
  await gone.ended
  gateway.signal('SIGTERM')
  await stopping(gateway)
  expect(gateway.child.exitCode).toBe(null)
  json(call.response, {})
  expect(await gateway.exited).toEqual({ code: 0, signal: null })
  expect(call.response.writableFinished).toBe(true)
})

test('at the end of the grace it cuts what runs, and exits with 1', async () => {
  const gateway = await startGateway(upstream, ['--stop-grace', '300ms'])
  upstream.reset(({ response }) => beginEvents(response))
  const stream = open(gateway, { key: freshKey(), path: openai.path })
  const { response } = await upstream.call()
  response.write(openai.begin[0])
  await stream.has(openai.begin[0] as string)
  const startedMs = performance.now()
  gateway.signal('SIGTERM')
  expect(await gateway.exited).toEqual({ code: 1, signal: null })
  const tookMs = performance.now() - startedMs
  expect(tookMs).toBeGreaterThan(290)
  expect(tookMs).toBeLessThan(4_000)
  expect((await stream.ended).complete).toBe(false)
})

test('a second signal ends it at once, with 1', async () => {
  const gateway = await startGateway(upstream)
  upstream.reset(() => undefined)
  const running = open(gateway, { key: freshKey() })
  await upstream.call()
  gateway.signal('SIGTERM')
  await stopping(gateway)
  const startedMs = performance.now()
  gateway.signal('SIGTERM')
  expect(await gateway.exited).toEqual({ code: 1, signal: null })
  expect(performance.now() - startedMs).toBeLessThan(3_000)
  expect((await running.ended).complete).toBe(false)
})

test('a grace of months is no grace of a millisecond', async () => {
  const gateway = await startGateway(upstream, ['--stop-grace', '60d'])
  upstream.reset(() => undefined)
  const running = open(gateway, { key: freshKey() })
  const { response } = await upstream.call()
  gateway.signal('SIGTERM')
  await stopping(gateway)
  expect((await send(gateway, { key: freshKey() })).status).toBe(503)
  response.end('done')
  expect((await answerOf(running)).text).toBe('done')
  expect((await gateway.exited).code).toBe(0)
})

test('a WebSocket does not hold it up for ever', async () => {
  const gateway = await startGateway(upstream, ['--stop-grace', '1s'])
  upstream.server.once('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  })
  const peer = new WebSocket(`ws://127.0.0.1:${gateway.port}/`)
  peer.on('error', () => undefined)
  await new Promise((resolve) => peer.on('close', resolve).on('upgrade', resolve))
  gateway.signal('SIGTERM')
  const { signal } = await gateway.exited
  expect(signal).toBe(null)
})
