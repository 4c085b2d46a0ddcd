/** What stands around a captured handler still works: compression, files, CORS, error handlers, pipelined requests. */
import { once as event } from 'node:events'
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2, createServer } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import compression from 'compression'
import express, { type ErrorRequestHandler, type Express } from 'express'
import Koa from 'koa'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { idempotency } from '../../../src/http/express.ts'
import { idempotency as forKoa } from '../../../src/http/koa.ts'
import { idempotency as forNode } from '../../../src/http/node.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import type { OpenedServer } from '../../../src/testing/index.ts'
import { post } from './post.ts'
import { serving } from './subject.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-around-'))
const file = join(folder, 'large.txt')
const content = 'twelve bytes'.repeat(200_000)
writeFileSync(file, content)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const options = () => ({ store: memoryStore(), onAbandoned: 'unknown' as const })

let server: OpenedServer | undefined
afterEach(async () => server?.close())

/** An app of Express; `build` gets our middleware and mounts it where it likes. */
async function open(build: (app: Express, once: ReturnType<typeof idempotency>) => void): Promise<string> {
  const once = idempotency(options())
  const app = express().set('env', 'test')
  build(app, once)
  server = await serving(app, once.close)
  return server.url
}

describe('compression', () => {
  test.each(['in front of', 'behind'])('%s us works for the first answer and the replay', async (where) => {
    const url = await open((app, once) => {
      if (where === 'behind') app.use(once, compression())
      else app.use(compression(), once)
      app.post('/things', (_, response) => void response.type('text').send(content.slice(0, 30_000)))
    })
    for (const how of ['executed', 'replayed']) {
      const got = await post(url, { key: 'k', headers: { 'Accept-Encoding': 'gzip' } })
      expect([got.how, got.headers.get('content-encoding'), got.text === content.slice(0, 30_000)]).toEqual([
        how,
        'gzip',
        true,
      ])
    }
    const plain = await post(url, { key: 'k', headers: { 'Accept-Encoding': 'identity' } })
    expect([plain.headers.get('content-encoding'), plain.text.length]).toEqual([null, 30_000])
  })
  test('in front of us codes a stream for each caller as he takes it', async () => {
    const url = await open((app, once) => {
      app.use(compression({ threshold: 0 }), once)
      app.post('/things', async (_, response) => {
        response.type('text')
        for (const text of ['one ', 'two ', 'three']) response.write(text)
        response.end()
      })
    })
    for (const [how, coding] of [
      ['executed', 'identity'],
      ['replayed', 'gzip'],
      ['replayed', 'identity'],
    ] as const) {
      const got = await post(url, { key: 'k', headers: { 'Accept-Encoding': coding } })
      const said = got.headers.get('content-encoding') ?? 'identity'
      expect([got.how, said, got.text]).toEqual([how, coding, 'one two three'])
    }
  })
})

describe('files and pipes', () => {
  test.each<[string, (response: express.Response) => void]>([
    ['sendFile', (response) => response.sendFile(file)],
    ['pipe', (response) => void createReadStream(file).pipe(response.type('text'))],
    ['pipeline', (response) => void pipeline(createReadStream(file), response.type('text'), () => undefined)],
  ])('%s is recorded whole, also for a caller who hangs up in the middle', async (_, send) => {
    let runs = 0
    const url = await open((app, once) => {
      app.use(once)
      app.post('/things', (_, response) => {
        runs += 1
        send(response)
      })
    })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const fields = 'Host: a\r\nAuthorization: Bearer alice\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n'
    socket.write(`POST /things HTTP/1.1\r\n${fields}Content-Length: 7\r\n\r\n{"a":1}`)
    await event(socket, 'data')
    socket.destroy()
    const got = await post(url, { key: 'k' })
    expect([got.text === content, runs]).toEqual([true, 1])
    expect(await post(url, { key: 'k' })).toMatchObject({ how: 'replayed', status: 200 })
  })
})

describe('headers in front of us', () => {
  test('are on fresh answers, replays and refusals alike, and nothing else is mixed in', async () => {
    const url = await open((app, once) => {
      app.use((_, response, next) => {
        response.set('Access-Control-Allow-Origin', '*').append('Set-Cookie', 'session=1')
        next()
      }, once)
      app.post('/things', (_, response) => void response.cookie('own', '2').status(201).json({ a: 1 }))
    })
    const first = await post(url, { key: 'k' })
    expect(first.headers.getSetCookie()).toEqual(['session=1', 'own=2; Path=/'])
    for (const body of ['{"a":1}', '{"a":2}']) {
      const { headers } = await post(url, { key: 'k', body })
      expect([headers.get('access-control-allow-origin'), headers.getSetCookie()]).toEqual(['*', ['session=1']])
    }
  })
})

describe('error handlers', () => {
  test("Express' own answer to an error is recorded by its status", async () => {
    const url = await open((app, once) => {
      app.use(once)
      app.post('/things', () => {
        throw Object.assign(new Error('no such thing'), { status: 404 })
      })
      const handler: ErrorRequestHandler = (error, _, response, next) =>
        response.headersSent ? next(error) : void response.status(error.status).json({ told: error.message })
      app.use(handler)
    })
    expect(await post(url, { key: 'k' })).toMatchObject({
      status: 404,
      how: 'executed',
      text: '{"told":"no such thing"}',
    })
    expect(await post(url, { key: 'k' })).toMatchObject({ status: 404, how: 'replayed' })
  })
  test('a middleware of Koa in front of us turns an error into what is recorded', async () => {
    const once = forKoa(options())
    const app = new Koa()
    app.use(async (context, next) => {
      await next().catch(() => {
        context.status = 418
        context.body = { told: true }
      })
    })
    app.use(once).use(() => {
      throw new Error('planted')
    })
    server = await serving(app.callback(), once.close)
    expect(await post(server.url, { key: 'k' })).toMatchObject({ status: 418, how: 'executed' })
    expect(await post(server.url, { key: 'k' })).toMatchObject({ status: 418, how: 'replayed' })
  })
  test('ctx.throw(404) of Koa is an outcome, and the app hears of errors', async () => {
    const once = forKoa(options())
    const app = new Koa()
    const heard: string[] = []
    app.on('error', (error: Error) => heard.push(error.message))
    app
      .use(once)
      .use((context) => (context.path === '/things' ? context.throw(404, 'nope') : context.throw(500, 'bad')))
    server = await serving(app.callback(), once.close)
    expect(await post(server.url, { key: 'k' })).toMatchObject({ status: 404, how: 'executed', text: 'nope' })
    expect(await post(server.url, { key: 'k' })).toMatchObject({ status: 404, how: 'replayed', text: 'nope' })
    expect(await post(server.url, { key: 'k', path: '/bad' })).toMatchObject({ status: 500, how: 'executed' })
    expect(await post(server.url, { key: 'k', path: '/bad' })).toMatchObject({ status: 409 })
    expect(heard).toContain('bad')
  })
  test('what a handler of node:http throws rejects the promise, and its client is told in one sentence', async () => {
    const wrap = forNode(options())
    const thrown: unknown[] = []
    const handler = wrap(() => {
      throw new Error('planted')
    })
    server = await serving(
      (request, response) => void handler(request, response).catch((e) => thrown.push(e)),
      wrap.close,
    )
    const got = await post(server.url, { key: 'k' })
    expect(got).toMatchObject({ status: 500, how: 'refused', text: expect.stringContaining('"code":"handler_failed"') })
    expect(got.text).not.toContain('planted')
    expect(thrown).toEqual([new Error('planted')])
  })
})

describe('a handler whose client hangs up', () => {
  /** Tells when the handler heard of it: before or after it had answered. */
  const heard = async (onDisconnect: 'drain' | 'abort'): Promise<string[]> => {
    const told: string[] = []
    const wrap = forNode({ ...options(), onDisconnect })
    let closed: Promise<unknown> = Promise.resolve()
    const handler = wrap((_, response) => {
      closed = event(response, 'close').then(() => told.push('close'))
      setTimeout(() => told.push(`answers, destroyed: ${response.destroyed}`) && response.end('late'), 400)
    })
    const gone = await serving((request, response) => void handler(request, response), wrap.close)
    const socket = connect(Number(new URL(gone.url).port), '127.0.0.1')
    const fields = 'Host: a\r\nAuthorization: Bearer a\r\nIdempotency-Key: k\r\n'
    socket.write(`POST /things HTTP/1.1\r\n${fields}Content-Length: 0\r\n\r\n`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 450))
    await closed
    await gone.close()
    return told
  }
  test('hears of it when it has ended', async () => {
    expect(await heard('drain')).toEqual(['answers, destroyed: false', 'close'])
  })
  test('hears of it at once under abort', async () => {
    expect(await heard('abort')).toEqual(['close', 'answers, destroyed: true'])
  })
})

test('what comes by node:http2 is refused in one sentence, but for safe methods', async () => {
  const wrap = forNode(options())
  const handler = wrap((_, response) => response.end('ran'))
  const rejected: string[] = []
  const listen = createServer((request, response) => {
    handler(request as never, response as never).catch((error: Error) => {
      rejected.push(error.message)
      response.stream.respond({ ':status': 500 })
      response.stream.end()
    })
  }).listen(0, '127.0.0.1')
  await event(listen, 'listening')
  const client = connectHttp2(`http://127.0.0.1:${(listen.address() as AddressInfo).port}`)
  const statusOf = async (method: string): Promise<unknown> => {
    const stream = client.request({ ':method': method, ':path': '/things', 'idempotency-key': 'k' }).end()
    const [head] = await event(stream, 'response')
    stream.resume()
    return head[':status']
  }
  expect([await statusOf('GET'), await statusOf('POST')]).toEqual([200, 500])
  expect(rejected).toEqual([expect.stringContaining('Nothing that comes by node:http2 can be covered')])
  client.close()
  listen.close()
  await wrap.close()
})

describe('on one connection', () => {
  test('pipelined requests are answered in order, each its own', async () => {
    const url = await open((app, once) => {
      app.use(once)
      app.post('/:n', async (request, response) => {
        await new Promise((resolve) => setTimeout(resolve, request.params.n === '1' ? 40 : 5))
        response.send(`answer ${request.params.n}\n`)
      })
    })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const head = (n: number, more = ''): string =>
      `POST /${n} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nIdempotency-Key: k\r\n${more}Content-Length: 0\r\n\r\n`
    socket.write(head(1) + head(2) + head(1) + head(3, 'Connection: close\r\n'))
    let text = ''
    for await (const piece of socket) text += piece
    expect(text.match(/answer \d|Idempotency-Status: \w+/g)).toEqual([
      'Idempotency-Status: executed',
      'answer 1',
      'Idempotency-Status: executed',
      'answer 2',
      expect.stringMatching(/joined|replayed/),
      'answer 1',
      'Idempotency-Status: executed',
      'answer 3',
    ])
  })
  test('trailers reach the first caller, flushHeaders sends the head of a silent answer, and back-pressure comes through', async () => {
    let rooms = 0
    const url = await open((app, once) => {
      app.use(once)
      app.post('/things', async (_, response) => {
        response.setHeader('Trailer', 'X-Sum')
        response.flushHeaders()
        await new Promise((resolve) => setTimeout(resolve, 30))
        const piece = Buffer.alloc(1_000_000, 'a')
        for (let at = 0; at < 12; at++) {
          if (response.write(piece)) continue
          rooms += 1
          await event(response, 'drain')
        }
        response.addTrailers({ 'X-Sum': '12' })
        response.end()
      })
    })
    const began = Date.now()
    const response = await fetch(`${url}/things`, {
      method: 'POST',
      headers: { Authorization: 'Bearer alice', 'Idempotency-Key': 'k' },
    })
    const headMs = Date.now() - began
    expect((await response.arrayBuffer()).byteLength).toBe(12_000_000)
    expect(headMs).toBeLessThan(5_000)
    expect(rooms).toBeGreaterThan(0)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const fields = 'Host: a\r\nAuthorization: Bearer a\r\nIdempotency-Key: k\r\nConnection: close\r\n'
    socket.write(`POST /things HTTP/1.1\r\n${fields}Content-Length: 0\r\n\r\n`)
    let last = ''
    for await (const piece of socket) last = (last + piece.toString('latin1')).slice(-40)
    expect(last).toContain('X-Sum: 12')
  })
})
