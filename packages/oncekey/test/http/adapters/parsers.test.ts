/** Behind a body parser the adapters compare what it has left, and refuse what cannot be compared. */

import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterEach, describe, expect, test } from 'vitest'
import { idempotency as forExpress } from '../../../src/http/express.ts'
import { idempotency as forFastify } from '../../../src/http/fastify.ts'
import { idempotency as forHono } from '../../../src/http/hono.ts'
import { idempotency as forKoa } from '../../../src/http/koa.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import type { OpenedServer } from '../../../src/testing/index.ts'
import { post } from './post.ts'
import { listening, serving } from './subject.ts'

const options = () => ({ store: memoryStore(), onAbandoned: 'unknown' as const })
const form = 'application/x-www-form-urlencoded'

let server: OpenedServer | undefined
afterEach(async () => server?.close())

/** What a parser that reads everything leaves in Koa. */
const koaParser: Koa.Middleware = async (context, next) => {
  const pieces: Buffer[] = []
  for await (const piece of context.req) pieces.push(piece as Buffer)
  const text = Buffer.concat(pieces).toString()
  const body = context.is('json') ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text))
  Object.assign(context.request, { body })
  return next()
}

const apps: Record<string, () => Promise<OpenedServer>> = {
  async express() {
    const once = forExpress(options())
    const app = express().use(express.json(), express.urlencoded(), once)
    app.post('/things', (request, response) => void response.json(request.body))
    return serving(app, once.close)
  },
  async koa() {
    const once = forKoa(options())
    const app = new Koa().use(koaParser).use(once)
    app.use((context) => {
      context.body = (context.request as { body?: unknown }).body
    })
    return serving(app.callback(), once.close)
  },
  async fastify() {
    const app = Fastify({ forceCloseConnections: true })
    app.addContentTypeParser(form, { parseAs: 'string' }, (_, body, done) =>
      done(null, Object.fromEntries(new URLSearchParams(body as string))),
    )
    await app.register(forFastify, options())
    app.post('/things', async ({ body }) => body)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return listening(app.server, () => app.close())
  },
  async hono() {
    const once = forHono(options())
    const app = new Hono()
    const parsed = async ({
      req,
    }: {
      req: { header(name: string): string | undefined; json(): Promise<unknown>; parseBody(): Promise<unknown> }
    }) => (req.header('content-type') === form ? req.parseBody() : req.json())
    app.use(async (context, next) => {
      await parsed(context)
      await next()
    })
    app.use(once).post('/things', async (context) => context.json((await parsed(context)) as object))
    return listening(createAdaptorServer(app) as never, once.close)
  },
}

describe.each(Object.entries(apps))('%s behind its parser', (name, open) => {
  test('finds JSON that is spelled otherwise the same, another value not, and hands the body on', async () => {
    server = await open()
    const { url } = server
    expect(await post(url, { key: 'k', body: '{"a":1,"b":2}' })).toMatchObject({
      how: 'executed',
      text: '{"a":1,"b":2}',
    })
    expect(await post(url, { key: 'k', body: '{ "b": 2, "a": 1 }' })).toMatchObject({ how: 'replayed' })
    expect(await post(url, { key: 'k', body: '{"a":1,"b":3}' })).toMatchObject({ status: 422 })
  })
  test('tells forms apart that would be alike as text', async () => {
    server = await open()
    const { url } = server
    expect(await post(url, { key: 'k', type: form, body: 'a=x%2By' })).toMatchObject({
      how: 'executed',
      text: '{"a":"x+y"}',
    })
    expect(await post(url, { key: 'k', type: form, body: 'a=x+y' })).toMatchObject({ status: 422 })
    expect(await post(url, { key: 'k', type: form, body: 'a=x%2by' })).toMatchObject({
      how: name === 'hono' ? expect.any(String) : 'replayed',
    })
  })
  test('runs a request without a key', async () => {
    server = await open()
    expect(await post(server.url)).toMatchObject({ how: 'ignored', text: '{"a":1}' })
  })
})

describe('a body that cannot be compared', () => {
  const gone = async (leaves: unknown): Promise<OpenedServer> => {
    const once = forExpress(options())
    const app = express().use(async (request, _, next) => {
      for await (const _piece of request);
      request.body = leaves
      next()
    }, once)
    app.post('/things', (_, response) => void response.json({ ran: true }))
    return serving(app, once.close)
  }
  const refusal = (sentence: string) => ({ status: 500, how: 'refused', text: expect.stringContaining(sentence) })

  test('multipart behind its parser is refused, for its files are gone', async () => {
    server = await gone({ note: 'x' })
    const body = new FormData()
    body.set('note', 'x')
    expect(await post(server.url, { key: 'k', type: null, body })).toMatchObject(
      refusal('Mount the adapter before that parser'),
    )
  })
  test('a body that was read and left nowhere is refused', async () => {
    server = await gone(undefined)
    expect(await post(server.url, { key: 'k' })).toMatchObject(refusal('left no request.body'))
  })
  test('a body that a parser left as bytes is compared by its bytes', async () => {
    server = await gone(Buffer.from('a'))
    expect(await post(server.url, { key: 'k', type: 'image/png' })).toMatchObject({ how: 'executed' })
    expect(await post(server.url, { key: 'k', type: 'image/png' })).toMatchObject({ how: 'replayed' })
  })
})

test('in front of its parser the very bytes are compared, and the parser still gets them', async () => {
  const once = forExpress(options())
  const app = express().use(once, express.json())
  app.post('/things', (request, response) => void response.json(request.body))
  server = await serving(app, once.close)
  const big = '{"a":9007199254740993}'
  expect(await post(server.url, { key: 'k', body: big })).toMatchObject({ how: 'executed' })
  expect(await post(server.url, { key: 'k', body: '{"a":9007199254740992}' })).toMatchObject({ status: 422 })
})
