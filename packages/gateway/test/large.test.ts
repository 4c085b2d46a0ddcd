/** A hundred mebibytes either way in flat memory, and back-pressure from whoever is slow (gateway.md, Forwarding). */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type GatewayProgram, startGateway, until } from './harness.ts'

const chunk = Buffer.alloc(64 * 1024, 'oncekey ')
const chunks = 1600
const total = chunk.length * chunks
/** What is on its way while one side takes nothing: the buffers of two connections, and a little of the gateway. */
const heldMost = 40 * 1024 * 1024
const memoryMost = 80

let server: Server
let gateway: GatewayProgram
/** What the upstream has received or sent, and how it goes on with what it holds back. */
let taken: { length: number; digest: string }
let given: number
let goOn: (() => void) | undefined

beforeEach(async () => {
  taken = { length: 0, digest: '' }
  given = 0
  goOn = undefined
  server = createServer((request, response) => {
    if (request.url === '/down') {
      response.setHeader('Content-Length', total)
      return pour(response, () => {
        given += chunk.length
      })
    }
    const take = (): void =>
      void count(request).then((result) => response.end('ok', () => Object.assign(taken, result)))
    if (request.url === '/held') goOn = take
    else take()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  gateway = await startGateway(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
afterEach(async () => {
  await gateway.kill()
  server.close()
  server.closeAllConnections()
})

const expected = {
  length: total,
  digest: createHash('sha256')
    .update(Buffer.concat(new Array(chunks).fill(chunk)))
    .digest('hex'),
}

async function count(stream: IncomingMessage): Promise<{ length: number; digest: string }> {
  const hash = createHash('sha256')
  let length = 0
  for await (const bytes of stream) {
    hash.update(bytes as Buffer)
    length += (bytes as Buffer).length
  }
  return { length, digest: hash.digest('hex') }
}

/** Writes all the chunks at the pace of whoever takes them. */
function pour(to: ClientRequest | ServerResponse, wrote: () => void): void {
  let left = chunks
  const more = (): void => {
    while (left > 0) {
      left -= 1
      wrote()
      if (!to.write(chunk)) return
    }
    to.end()
  }
  to.on('drain', more)
  more()
}

/** The most memory the gateway has above what it has now, MiB. */
function watchMemory(): () => number {
  const before = gateway.residentMiB
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, gateway.residentMiB)
  }, 20)
  return () => {
    clearInterval(timer)
    return most - before
  }
}

function begin(method: string, path: string, headers: Record<string, string> = {}) {
  const request = httpRequest({ host: '127.0.0.1', port: gateway.port, method, path, agent: false, headers })
  const response = once(request, 'response').then(([answer]) => answer as IncomingMessage)
  return { request, response }
}

/** Waits until a counter has stood still for a third of a second. */
async function standsStill(counter: () => number): Promise<number> {
  let seen = -1
  let sinceMs = performance.now()
  await until(() => {
    if (counter() !== seen) sinceMs = performance.now()
    seen = counter()
    return performance.now() - sinceMs > 333
  })
  return seen
}

test('an answer of a hundred mebibytes passes in flat memory, to the byte', async () => {
  const growth = watchMemory()
  const { request, response } = begin('GET', '/down')
  request.end()
  const answer = await response
  expect(await count(answer)).toEqual(expected)
  expect(answer.complete).toBe(true)
  expect(growth()).toBeLessThan(memoryMost)
})

test('a caller who takes nothing stops the upstream, and gets the rest when he goes on', async () => {
  const growth = watchMemory()
  const { request, response } = begin('GET', '/down')
  request.end()
  const answer = await response
  answer.pause()
  expect(await standsStill(() => given)).toBeLessThan(heldMost)
  expect(await count(answer)).toEqual(expected)
  expect(growth()).toBeLessThan(memoryMost)
})

test.each([
  ['PUT', 'Content-Length', String(total)],
  ['PUT', 'Transfer-Encoding', 'chunked'],
  ['GET', 'Transfer-Encoding', 'chunked'],
])('a body of a hundred mebibytes by %s with %s passes in flat memory, to the byte', async (method, name, value) => {
  const growth = watchMemory()
  const { request, response } = begin(method, '/up', { [name]: value })
  pour(request, () => undefined)
  expect((await response).statusCode).toBe(200)
  expect(taken).toEqual(expected)
  expect(growth()).toBeLessThan(memoryMost)
})

test('an upstream that takes nothing stops the caller, and gets the rest when it goes on', async () => {
  const growth = watchMemory()
  let written = 0
  const { request, response } = begin('PUT', '/held', { 'Content-Length': String(total) })
  pour(request, () => {
    written += chunk.length
  })
  await until(() => goOn !== undefined)
  expect(await standsStill(() => written)).toBeLessThan(heldMost)
  goOn?.()
  expect((await response).statusCode).toBe(200)
  expect(taken).toEqual(expected)
  expect(growth()).toBeLessThan(memoryMost)
})
