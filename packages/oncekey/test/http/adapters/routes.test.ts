/** Options per route, the attempt in a handler's hands, tenants from the app, and closing. */
import { createAdaptorServer } from '@hono/node-server'
import express, { type Request as ExpressRequest } from 'express'
import Fastify from 'fastify'
import { type Context, Hono } from 'hono'
import Koa, { type Context as KoaContext } from 'koa'
import { afterEach, describe, expect, test } from 'vitest'
import { idempotency as forExpress, idempotencyOf, type RunningAttempt } from '../../../src/http/express.ts'
import { idempotency as forFastify } from '../../../src/http/fastify.ts'
import { idempotency as forFetch } from '../../../src/http/fetch.ts'
import { idempotency as forHono } from '../../../src/http/hono.ts'
import { idempotency as forKoa } from '../../../src/http/koa.ts'
import { idempotency as forNode } from '../../../src/http/node.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import { faultyStore, manualClock, type OpenedServer } from '../../../src/testing/index.ts'
import { nestedApp } from './nest-routes.ts'
import { type Posted, post } from './post.ts'
import { listening, serving } from './subject.ts'

const options = () => ({ store: memoryStore(), onAbandoned: 'unknown' as const })

const servers: OpenedServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function opened(opening: Promise<OpenedServer>): Promise<string> {
  const server = await opening
  servers.push(server)
  return server.url
}

const told = (attempt: RunningAttempt | undefined) =>
  attempt === undefined ? 'none' : `attempt ${attempt.number} ${attempt.fence > 0} ${attempt.signal.aborted}`

describe('idempotencyOf', () => {
  const apps: Record<string, () => Promise<OpenedServer>> = {
    async node() {
      const wrap = forNode(options())
      return serving(
        wrap((request, response) => response.end(told(idempotencyOf(request)))),
        wrap.close,
      )
    },
    async express() {
      const once = forExpress(options())
      const app = express().use(once)
      app.post('/things', (request, response) => void response.send(told(idempotencyOf(request))))
      return serving(app, once.close)
    },
    async koa() {
      const once = forKoa(options())
      const app = new Koa().use(once).use((context) => {
        context.body = `${told(idempotencyOf(context))}`
        if (idempotencyOf(context.req) !== idempotencyOf(context.request)) context.body = 'not the same'
      })
      return serving(app.callback(), once.close)
    },
    async fastify() {
      const app = Fastify({ forceCloseConnections: true })
      await app.register(forFastify, options())
      app.post('/things', async (request) => told(idempotencyOf(request)))
      await app.listen({ port: 0, host: '127.0.0.1' })
      return listening(app.server, () => app.close())
    },
    async fetch() {
      const wrap = forFetch(options())
      const fetch = wrap((request) => new Response(told(idempotencyOf(request))))
      return listening(createAdaptorServer({ fetch: (request) => fetch(request) }) as never, wrap.close)
    },
    async hono() {
      const once = forHono(options())
      const app = new Hono().use(once).post('/things', (context) => context.text(told(idempotencyOf(context))))
      return listening(createAdaptorServer(app) as never, once.close)
    },
    nest: () => nestedApp(options(), told),
  }

  test.each(Object.entries(apps))(
    'is the attempt of a covered request in %s, and none of any other',
    async (_, open) => {
      const url = await opened(open())
      expect((await post(url, { key: 'k' })).text).toBe('attempt 1 true false')
      expect((await post(url)).text).toBe('none')
    },
  )
})

describe('two routes of one app', () => {
  const both = async (url: string): Promise<void> => {
    const a: Posted = { path: '/a', key: 'k' }
    const b: Posted = { path: '/b', key: 'k' }
    expect(await post(url, { path: '/a' })).toMatchObject({ status: 400, how: 'refused' })
    expect(await post(url, { path: '/b' })).toMatchObject({ status: 503, how: 'ignored' })
    // 503 is an outcome on the one route and none on the other.
    for (const how of ['executed', 'replayed']) expect(await post(url, a)).toMatchObject({ status: 503, how })
    for (const how of ['executed', 'executed']) expect(await post(url, b)).toMatchObject({ status: 503, how })
    expect(await post(url, { path: '/c', key: 'k' })).toMatchObject({ how: null })
  }
  const final = { requireKey: true, classify: () => 'final' as const }

  test('of Express have their own options and share a store', async () => {
    const store = memoryStore()
    const strict = forExpress({ store, onAbandoned: 'unknown', ...final })
    const plain = forExpress({ store, onAbandoned: 'reexecute' })
    const app = express()
    for (const [path, ...before] of [['/a', strict], ['/b', plain], ['/c']] as const) {
      app.post(path, ...before, (_, response) => void response.status(503).send('busy'))
    }
    await both(await opened(serving(app, () => Promise.all([strict.close(), plain.close()]))))
  })
  test('of Fastify say theirs in their config, or leave themselves out', async () => {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(forFastify, options())
    app.post('/a', { config: { idempotency: final } }, async (_, reply) => reply.code(503).send('busy'))
    app.post('/b', async (_, reply) => reply.code(503).send('busy'))
    app.post('/c', { config: { idempotency: false } }, async (_, reply) => reply.code(503).send('busy'))
    await app.listen({ port: 0, host: '127.0.0.1' })
    await both(await opened(listening(app.server, () => app.close())))
  })
  test('of Nest say theirs in the decorator, and without one are left out', async () => {
    await both(await opened(nestedApp(options(), told, final)))
  })
  test('mounted one inside the other, the outer one holds', async () => {
    const outer = forExpress(options())
    const inner = forExpress({ ...options(), requireKey: true, classify: () => 'not_executed' })
    const app = express().use(outer)
    app.post('/things', inner, (_, response) => void response.send('once'))
    const url = await opened(serving(app, () => Promise.all([outer.close(), inner.close()])))
    for (const how of ['executed', 'replayed'])
      expect(await post(url, { key: 'k' })).toMatchObject({ how, text: 'once' })
  })
})

describe('the tenant', () => {
  const user = async (name: string | undefined): Promise<string | undefined> => name

  test.each<[string, () => Promise<OpenedServer>]>([
    [
      'express',
      async () => {
        const once = forExpress({ ...options(), tenant: (request: ExpressRequest) => user(request.get('x-user')) })
        const app = express().use(once)
        app.post('/things', (_, response) => void response.send('ran'))
        return serving(app, once.close)
      },
    ],
    [
      'koa',
      async () => {
        const once = forKoa({ ...options(), tenant: (context: KoaContext) => user(context.get('x-user')) })
        const app = new Koa().use(once).use((context) => {
          context.body = 'ran'
        })
        return serving(app.callback(), once.close)
      },
    ],
    [
      'hono',
      async () => {
        const once = forHono({ ...options(), tenant: ({ req }: Context) => user(req.header('x-user')) })
        const app = new Hono().use(once).post('/things', (context) => context.text('ran'))
        return listening(createAdaptorServer(app) as never, once.close)
      },
    ],
  ])('may be looked up, gets the request of %s, and is asked for in vain only without a key', async (_, open) => {
    const url = await opened(open())
    const headers = { 'x-user': '1' }
    expect(await post(url, { key: 'k', headers })).toMatchObject({ how: 'executed' })
    expect(await post(url, { key: 'k', headers: { ...headers, Authorization: 'Bearer rotated' } })).toMatchObject({
      how: 'replayed',
    })
    expect(await post(url, { key: 'k' })).toMatchObject({ status: 400, how: 'refused' })
    expect(await post(url)).toMatchObject({ status: 200, how: 'ignored' })
  })
  test('that cannot be looked up is an error of ours that the log hears of, and nothing runs', async () => {
    const failures: unknown[] = []
    const tenant = (): string => {
      throw new Error('the database is away')
    }
    const once = forExpress({ ...options(), tenant, failed: (error) => failures.push(error) })
    const app = express().use(once)
    const url = await opened(serving(app, once.close))
    expect(await post(url, { key: 'k' })).toMatchObject({ status: 500, how: 'refused' })
    expect(failures).toEqual([new Error('the database is away')])
  })
})

describe('a store that is away', () => {
  const away = (): ReturnType<typeof faultyStore> => faultyStore(memoryStore(), () => 'fail')

  test.each([
    [true, 'bypassed', 200],
    [false, 'refused', 503],
  ])('with failOpen %s is %s, by a wrapped handler and by middleware', async (failOpen, how, status) => {
    const given = { store: away(), onAbandoned: 'unknown' as const, failOpen }
    const wrap = forFetch(given)
    const once = forExpress(given)
    const app = express().use(once)
    app.post('/things', (_, response) => void response.send('ran'))
    const urls = await Promise.all([
      opened(serving(app, once.close)),
      opened(listening(createAdaptorServer({ fetch: wrap(() => new Response('ran')) }) as never, wrap.close)),
    ])
    const got = await Promise.all(urls.map((url) => post(url, { key: 'k' })))
    expect(got.map((one) => [one.how, one.status])).toEqual(urls.map(() => [how, status]))
  })
})

describe('closing', () => {
  test('waits for what runs, fires its signal, and refuses what comes', async () => {
    const once = forExpress(options())
    const app = express().use(once)
    app.post('/things', (request, response) => {
      const { signal } = idempotencyOf(request) as RunningAttempt
      signal.addEventListener('abort', () => setTimeout(() => response.send('after the signal'), 30))
    })
    const url = await opened(serving(app, once.close))
    const running = post(url, { key: 'k' })
    await new Promise((resolve) => setTimeout(resolve, 50))
    const closed = once.close()
    expect(await post(url, { key: 'other' })).toMatchObject({
      status: 503,
      text: expect.stringContaining('shutting_down'),
    })
    await closed
    expect(await running).toMatchObject({ text: 'after the signal', how: 'executed' })
  })
  test('throws at once for options that cannot be right', () => {
    for (const make of [forExpress, forKoa, forNode, forFetch, forHono]) {
      expect(() => make({ store: memoryStore(), onAbandoned: 'never' as never })).toThrow(/onAbandoned must be/)
    }
  })
})

describe('a fetch handler', () => {
  const request = (signal?: AbortSignal): Request =>
    new Request('http://a/things', {
      method: 'POST',
      body: 'x',
      headers: { Authorization: 'Bearer a', 'Idempotency-Key': 'k' },
      ...(signal === undefined ? {} : { signal }),
    })

  test('is not told that its client hangs up, ends behind his back, and the runtime waits for it', async () => {
    const wrap = forFetch(options())
    const waited: Promise<unknown>[] = []
    let wasAborted: boolean | undefined
    const handler = wrap(async (given, _context: { waitUntil(work: Promise<unknown>): void }) => {
      await new Promise((resolve) => setTimeout(resolve, 40))
      wasAborted = given.signal.aborted
      return new Response(await given.text())
    })
    const hangUp = new AbortController()
    const context = { waitUntil: (work: Promise<unknown>) => void waited.push(work) }
    const lost = handler(request(hangUp.signal), context)
    await new Promise((resolve) => setTimeout(resolve, 10))
    hangUp.abort()
    await Promise.all(waited)
    await lost
    expect([wasAborted, waited.length]).toEqual([false, 1])
    const retry = await handler(request(), context)
    expect([retry.headers.get('idempotency-status'), await retry.text()]).toEqual(['replayed', 'x'])
    await wrap.close()
  })
  test('rejects with what the handler has thrown, and hands through answers with frozen headers', async () => {
    const wrap = forFetch(options())
    const failing = wrap(() => Promise.reject(new Error('planted')))
    await expect(failing(request())).rejects.toThrow('planted')
    expect((await failing(request())).status).toBe(409)
    const frozen = wrap(() => Response.redirect('http://b/', 303))
    const passed = await frozen(new Request('http://a/'))
    expect([passed.status, passed.headers.get('idempotency-status')]).toEqual([303, 'ignored'])
    await wrap.close()
  })
})

test('steps of an attempt that died are not run again by the next one', async () => {
  const store = memoryStore()
  const once = forExpress({ store, onAbandoned: 'resume' })
  const app = express().set('env', 'test').use(once)
  const ran: string[] = []
  app.post('/things', async (request, response) => {
    const attempt = idempotencyOf(request) as RunningAttempt
    const paid = await attempt.step('pay', async () => ran.push('pay'))
    ran.push('attempt')
    if (attempt.number === 1) throw new Error('planted')
    response.json({ paid })
  })
  const url = await opened(serving(app, once.close))
  expect(await post(url, { key: 'k' })).toMatchObject({ status: 500, how: 'executed' })
  expect(await post(url, { key: 'k' })).toMatchObject({ status: 200, text: '{"paid":1}' })
  expect(ran).toEqual(['pay', 'attempt', 'attempt'])
})

test('under reconcile the handler that follows an abandoned one sees that it is recovering, and asks', async () => {
  const clock = manualClock()
  const store = memoryStore(clock)
  const once = [
    forExpress({ store, clock, onAbandoned: 'reconcile' }),
    forExpress({ store, clock, onAbandoned: 'reconcile' }),
  ]
  const seen: boolean[] = []
  const open = (at: number): Promise<OpenedServer> => {
    const app = express().use(once[at] as express.RequestHandler)
    app.post('/things', (request, response) => {
      const { recovering } = idempotencyOf(request) as RunningAttempt
      seen.push(recovering)
      // 500 is indeterminate, and under this policy leaves the record to the next attempt.
      response.status(recovering ? 200 : 500).send('answer')
    })
    return serving(app, () => (once[at] as ReturnType<typeof forExpress>).close())
  }
  const urls = [await opened(open(0)), await opened(open(1))]
  expect(await post(urls[0] as string, { key: 'k' })).toMatchObject({ status: 500 })
  await clock.advance(60_000)
  expect(await post(urls[1] as string, { key: 'k' })).toMatchObject({ status: 200, how: 'executed' })
  expect(seen).toEqual([false, true])
})
