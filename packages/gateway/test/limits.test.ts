/** Every limit that nobody sets: a real gateway in this process, with small ones so that they can be reached. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Limits } from '../src/server/limits.ts'
import { freshKey, RawClient, type ScriptedUpstream, send, startUpstream, until } from './harness.ts'
import { openGateway } from './in-process.ts'

let upstream: ScriptedUpstream
const closing: (() => unknown)[] = []
beforeAll(async () => {
  upstream = await startUpstream()
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  upstream.reset()
})
afterAll(() => upstream.close())

/** A gateway with these limits in place of the usual ones. */
async function gatewayWith(limits: Partial<Limits>, ...flags: string[]): Promise<{ readonly port: number }> {
  const gateway = await openGateway(upstream, { limits, flags })
  closing.push(gateway.close)
  return gateway
}

const keyed = (): string => `Host: a\r\nAuthorization: a\r\nIdempotency-Key: ${freshKey()}\r\n`

/** Writes a byte now and then until the connection is closed. */
function trickle(client: RawClient, everyMs: number, byte = 'x'): void {
  const timer = setInterval(() => client.socket.write(byte), everyMs)
  client.socket.on('error', () => undefined).on('close', () => clearInterval(timer))
}

const quick = { bodyMs: 200, bodyBytesPerSecond: 1_000, headMs: 300 }

describe('a client that sends a byte now and then', () => {
  test('in the head gets 408 after the time for the head, and is cut', async () => {
    const client = new RawClient((await gatewayWith(quick)).port)
    client.write('GET / HTTP/1.1\r\nX-A: ')
    trickle(client, 20)
    await client.closed
    expect(client.text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
    expect(client.text).toContain('"code":"request_timeout"')
    expect(upstream.calls).toHaveLength(0)
  })

  test.each([
    ['with a key', keyed, 'Content-Length: 100000\r\n\r\n', 'x'],
    ['with a key, in chunks', keyed, 'Transfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n'],
    ['passed through', () => 'Host: a\r\n', 'Content-Length: 100000\r\n\r\n', 'x'],
  ])('in the body, %s, gets 408 and is cut', async (_, fields, framing, byte) => {
    const client = new RawClient((await gatewayWith(quick)).port)
    client.write(`POST /v1/a HTTP/1.1\r\n${fields()}${framing}`)
    trickle(client, 20, byte)
    await client.closed
    expect(client.text).toMatch(/^HTTP\/1\.1 408 /)
    expect(upstream.calls.filter(({ request }) => request.complete)).toHaveLength(0)
  })

  test('frees its key', async () => {
    const gateway = await gatewayWith(quick)
    const client = new RawClient(gateway.port)
    const key = freshKey()
    client.write(
      `POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer alice\r\nIdempotency-Key: ${key}\r\nContent-Length: 9\r\n\r\nx`,
    )
    await client.closed
    expect((await send(gateway, { key, body: 'any other' })).how).toBe('executed')
  })
})

describe('a client that is slow but honest', () => {
  test.each([
    ['with a key', keyed],
    ['passed through', () => 'Host: a\r\n'],
  ])('is waited for, %s, ten times as long as a trickle', async (_, fields) => {
    const client = new RawClient((await gatewayWith(quick)).port)
    client.write(`PUT /v1/a HTTP/1.1\r\n${fields()}Content-Length: 4000\r\nConnection: close\r\n\r\n`)
    for (let piece = 0; piece < 40; piece++) {
      client.write('x'.repeat(100))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await client.closed
    expect(client.text).toMatch(/^HTTP\/1\.1 200 /)
    expect(upstream.calls[0]?.body.length).toBe(4_000)
  })

  test('is not to blame when the upstream takes nothing', async () => {
    const gateway = await gatewayWith(quick)
    upstream.server.removeAllListeners('request')
    const taken = new Promise<() => void>((resolve) => {
      upstream.server.once('request', (request, response) => {
        resolve(() => {
          request.resume()
          request.on('end', () => response.end('late'))
        })
      })
    })
    const client = new RawClient(gateway.port)
    const body = 'x'.repeat(16 * 1024 * 1024)
    client.write(`PUT /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`)
    client.write(body)
    const take = await taken
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    take()
    await client.closed
    expect(client.text).toMatch(/^HTTP\/1\.1 200 /)
    upstream.close()
    upstream = await startUpstream()
  })
})

test('a client that takes nothing of a passed answer is cut, and the upstream is let go', {
  timeout: 20_000,
}, async () => {
  upstream.reset(({ response }) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
    }
    response.writeHead(200)
    response.on('drain', more)
    more()
  })
  const client = new RawClient((await gatewayWith({ ...quick, stalledMs: 500 })).port)
  client.socket.pause()
  client.write('GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n')
  const call = await upstream.call()
  await call.closed
  expect(call.response.writableFinished).toBe(false)
  client.socket.destroy()
})

test('a connection beyond the most is closed unheard, and the others are served', async () => {
  const gateway = await gatewayWith({ connections: 3 })
  const clients = Array.from({ length: 3 }, () => new RawClient(gateway.port))
  for (const client of clients) {
    client.write('GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.has('200 OK')
  }
  const fourth = new RawClient(gateway.port)
  await fourth.closed
  expect(fourth.text).toBe('')
  clients[0]?.socket.destroy()
  await clients[0]?.closed
  await until(() => upstream.calls.length === 3)
  const fifth = new RawClient(gateway.port)
  fifth.write('GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n')
  await fifth.has('200 OK')
  for (const client of [...clients, fifth]) client.socket.destroy()
})

test('requests beyond the most get 429 with a hint', async () => {
  const gateway = await gatewayWith({ requests: 2 })
  upstream.reset(() => undefined)
  const running = [new RawClient(gateway.port), new RawClient(gateway.port)]
  for (const client of running) client.write(`POST /v1/a HTTP/1.1\r\n${keyed()}Content-Length: 0\r\n\r\n`)
  const held = [await upstream.call(1), await upstream.call(2)]
  const refused = await send(gateway, { key: freshKey() })
  expect([refused.status, refused.json['code'], refused.header('retry-after')]).toEqual([429, 'too_many_waiting', '1'])
  for (const { response } of held) response.end('done')
  for (const client of running) await client.has('done')
  upstream.reset()
  expect((await send(gateway, { key: freshKey() })).how).toBe('executed')
})

test('a pipeline goes as far as its most; what is beyond never reaches the upstream, and the connection closes', async () => {
  const gateway = await gatewayWith({ pipelined: 5 })
  upstream.reset(({ response }) => setTimeout(() => response.end('done'), 100))
  const client = new RawClient(gateway.port)
  client.write('GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50))
  await client.closed
  expect(client.text.match(/HTTP\/1\.1 \d+/g)).toEqual([...Array(5).fill('HTTP/1.1 200'), 'HTTP/1.1 429'])
  expect(upstream.calls).toHaveLength(5)
})

test('a kept connection that is silent is closed', async () => {
  const client = new RawClient((await gatewayWith({ keepAliveMs: 200 })).port)
  client.write('GET /v1/a HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(await client.closed).toBe('FIN')
  expect(client.text).toMatch(/^HTTP\/1\.1 200 /)
})
