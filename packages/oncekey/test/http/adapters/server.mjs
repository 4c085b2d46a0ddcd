// A server with one of the adapters over an LMDB store: `node server.mjs ADAPTER POLICY FOLDER`. Its handler never
// answers the first time, and afterwards says which execution it is; each writes a byte to FOLDER/executions first.
import { appendFileSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { lmdbStore } from 'oncekey/lmdb'

const [adapter, onAbandoned, folder] = process.argv.slice(2)
const counter = join(folder, 'executions')
appendFileSync(counter, '')
const options = { store: lmdbStore(join(folder, 'store')), onAbandoned, leaseMs: 500, skewMs: 200 }

async function work() {
  appendFileSync(counter, '.')
  const execution = readFileSync(counter).length
  if (execution === 1) await new Promise(() => setInterval(() => undefined, 1_000))
  return { execution }
}

const sent = async (response) => response.writeHead(200).end(JSON.stringify(await work()))
const listen = (server) => server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))

const servers = {
  async node({ idempotency }) {
    const handler = idempotency(options)((_, response) => sent(response))
    listen(createServer(handler))
  },
  async express({ idempotency }) {
    const { default: express } = await import('express')
    const app = express().use(idempotency(options), express.json())
    app.post('/things', async (_, response) => response.json(await work()))
    listen(createServer(app))
  },
  async koa({ idempotency }) {
    const { default: Koa } = await import('koa')
    const app = new Koa().use(idempotency(options)).use(async (context) => {
      context.body = await work()
    })
    listen(createServer(app.callback()))
  },
  async fastify({ idempotency }) {
    const { default: fastify } = await import('fastify')
    const app = fastify()
    await app.register(idempotency, options)
    app.post('/things', work)
    console.log(await app.listen({ port: 0, host: '127.0.0.1' }))
  },
  async fetch({ idempotency }) {
    const { createAdaptorServer } = await import('@hono/node-server')
    const handler = idempotency(options)(async () => Response.json(await work()))
    listen(createAdaptorServer({ fetch: (request) => handler(request) }))
  },
  async hono({ idempotency }) {
    const { createAdaptorServer } = await import('@hono/node-server')
    const { Hono } = await import('hono')
    const app = new Hono().use(idempotency(options)).post('/things', async (context) => context.json(await work()))
    listen(createAdaptorServer(app))
  },
  async nest({ Idempotent, IdempotencyModule }, platform) {
    await import('reflect-metadata')
    const { Controller, HttpCode, Module, Post } = await import('@nestjs/common')
    const { NestFactory } = await import('@nestjs/core')
    class Things {
      run() {
        return work()
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Things.prototype, 'run')
    for (const decorate of [Post('things'), HttpCode(200), Idempotent()]) decorate(Things.prototype, 'run', descriptor)
    Controller()(Things)
    class App {}
    Module({ imports: [IdempotencyModule.forRoot(options)], controllers: [Things] })(App)
    const { ExpressAdapter, FastifyAdapter } = await import(`@nestjs/platform-${platform}`)
    const app = await NestFactory.create(App, new (ExpressAdapter ?? FastifyAdapter)(), { logger: false })
    await app.listen(0, '127.0.0.1')
    console.log(await app.getUrl())
  },
}

const [name, platform] = adapter.split('-')
await servers[name](await import(`oncekey/${name}`), platform)
