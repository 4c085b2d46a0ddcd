/** WebSocket upgrades go through unrecorded; other offers to upgrade are declined, as a server may (RFC 9110 §7.8). */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { freshKey, type GatewayProgram, RawClient, startGateway, until } from './harness.ts'

let server: Server
let sockets: WebSocketServer
let gateway: GatewayProgram
const upgrades: IncomingMessage[] = []
const requests: { readonly request: IncomingMessage; readonly body: string }[] = []

beforeAll(async () => {
  sockets = new WebSocketServer({ noServer: true })
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (bytes) => {
      body += bytes
    })
    request.on('end', () => {
      requests.push({ request, body })
      response.end('plain answer')
    })
  })
  server.on('upgrade', (request, socket, head) => {
    upgrades.push(request)
    if (request.url === '/refused') {
      socket.end('HTTP/1.1 401 Unauthorized\r\nX-Why: no\r\nContent-Length: 9\r\n\r\nwho there')
      return
    }
    if (request.url === '/cut') {
      socket.destroy()
      return
    }
    sockets.handleUpgrade(request, socket, head, (peer) => {
      peer.send('welcome')
      peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  gateway = await startGateway(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, [
    '--tenant-header',
    'X-Team',
  ])
})
afterAll(async () => {
  await gateway.kill()
  server.close()
  server.closeAllConnections()
})

describe('a WebSocket', () => {
  test('is joined with the upstream’s, both ways, bytes of every size', async () => {
    const peer = new WebSocket(`ws://127.0.0.1:${gateway.port}/v1/realtime?model=m%2Fx`, ['realtime'], {
      headers: { Authorization: 'Bearer a', 'X-Team': 'red', 'X-Stays': '1' },
    })
    const received: Buffer[] = []
    peer.on('message', (data) => received.push(data as Buffer))
    await once(peer, 'open')
    await until(() => received.length === 1)
    expect(received[0]?.toString()).toBe('welcome')
    for (const size of [0, 1, 125, 126, 65_536, 3_000_000]) {
      received.length = 0
      const sent = Buffer.alloc(size, size % 251)
      peer.send(sent)
      await until(() => received.length === 1)
      expect(received[0]?.equals(sent)).toBe(true)
    }
    const seen = upgrades.at(-1)
    expect(seen?.url).toBe('/v1/realtime?model=m%2Fx')
    expect(seen?.headers).toMatchObject({ authorization: 'Bearer a', 'x-stays': '1' })
    expect(seen?.headers).not.toHaveProperty('x-team')
    expect(seen?.headers.host).toBe(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    peer.close(1000, 'bye')
    const [code] = await once(peer, 'close')
    expect(code).toBe(1000)
  })

  test('is joined though its offer announces trailers, which nothing can follow', async () => {
    const client = new RawClient(gateway.port)
    const offer = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Trailer: X-Late']
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
    client.write(`${['GET /trailer HTTP/1.1', 'Host: a', 'X-Stays: 1', key, ...offer].join('\r\n')}\r\n\r\n`)
    await until(() => client.text.includes('welcome'))
    expect(client.text).toMatch(/^HTTP\/1\.1 101 /)
    expect(upgrades.at(-1)?.headers).toMatchObject({ 'x-stays': '1' })
    expect(upgrades.at(-1)?.headers).not.toHaveProperty('trailer')
    client.socket.destroy()
  })

  test('closes at the upstream when its caller vanishes', async () => {
    const peer = new WebSocket(`ws://127.0.0.1:${gateway.port}/vanish`)
    await once(peer, 'open')
    const [other] = [...sockets.clients].slice(-1)
    const closed = once(other as WebSocket, 'close')
    peer.terminate()
    expect((await closed)[0]).toBe(1006)
  })

  test('closes at the caller when the upstream vanishes', async () => {
    const peer = new WebSocket(`ws://127.0.0.1:${gateway.port}/vanish`)
    await once(peer, 'open')
    const [other] = [...sockets.clients].slice(-1)
    other?.terminate()
    expect((await once(peer, 'close'))[0]).toBe(1006)
  })

  test('that is refused gets the refusal as it was given', async () => {
    const peer = new WebSocket(`ws://127.0.0.1:${gateway.port}/refused`)
    peer.on('error', () => undefined)
    const [, response] = (await once(peer, 'unexpected-response')) as [unknown, IncomingMessage]
    let body = ''
    response.on('data', (bytes) => {
      body += bytes
    })
    await once(response, 'end')
    expect([response.statusCode, response.headers['x-why'], body]).toEqual([401, 'no', 'who there'])
  })

  test('whose upstream breaks off gets 502', async () => {
    const peer = new WebSocket(`ws://127.0.0.1:${gateway.port}/cut`)
    peer.on('error', () => undefined)
    const [, response] = (await once(peer, 'unexpected-response')) as [unknown, IncomingMessage]
    expect(response.statusCode).toBe(502)
  })
})

describe('another offer to upgrade', () => {
  test('leaves a request what it is: Java’s HttpClient offers h2c with every one', async () => {
    const key = freshKey()
    const body = '{"a":1}'
    const request = [
      'POST /v1/chat/completions HTTP/1.1',
      'Host: a',
      'X-Team: red',
      `Idempotency-Key: ${key}`,
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAEAAEAA',
      `Content-Length: ${body.length}`,
      '',
      '',
    ].join('\r\n')
    requests.length = 0
    for (const how of ['executed', 'replayed']) {
      const client = new RawClient(gateway.port)
      // The body comes later, and with it a second request on the same connection.
      client.write(request)
      await until(() => client.socket.bytesWritten > 0)
      client.write(`${body}GET /next HTTP/1.1\r\nHost: a\r\nX-Team: red\r\nConnection: close\r\n\r\n`)
      await client.closed
      expect(client.text).toContain(`Idempotency-Status: ${how}`)
      expect(client.text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2)
    }
    expect(requests.map(({ request: { url }, body: seen }) => `${url} ${seen}`).sort()).toEqual([
      '/next ',
      '/next ',
      `/v1/chat/completions ${body}`,
    ])
    expect(requests.some((seen) => seen.request.headers.upgrade !== undefined)).toBe(false)
  })

  test('is declined for a WebSocket by POST too, and the key holds', async () => {
    const key = freshKey()
    requests.length = 0
    for (const how of ['executed', 'replayed']) {
      const client = new RawClient(gateway.port)
      client.write(
        `POST /v1/x HTTP/1.1\r\nHost: a\r\nX-Team: red\r\nIdempotency-Key: ${key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      )
      await client.has('plain answer')
      expect(client.text).toContain(`Idempotency-Status: ${how}`)
      client.socket.destroy()
    }
    expect(requests.map(({ body }) => body)).toEqual(['abc'])
  })
})
