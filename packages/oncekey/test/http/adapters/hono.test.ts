/** The middleware for Hono keeps the HTTP contract, on Node and where a fetch runtime calls it. */
import { createAdaptorServer } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { test } from 'vitest'
import { idempotency } from '../../../src/http/hono.ts'
import { fetchOrigin, httpConformance } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { listening, optionsFor } from './subject.ts'

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const once = idempotency(optionsFor<Context>(wanted, ({ req }, name) => req.header(name)))
      const handler = fetchOrigin(origin)
      const app = new Hono()
      app.use(once).all('*', (context) => handler(context.req.raw))
      app.onError((_, context) => context.text('failed', 500))
      return listening(createAdaptorServer(app) as never, once.close)
    },
    crash: crashing('hono'),
  },
)
