/** The middleware for Koa keeps the HTTP contract. */
import Koa, { type Context } from 'koa'
import { test } from 'vitest'
import { idempotency } from '../../../src/http/koa.ts'
import { httpConformance } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { koaOrigin } from './koa-origin.ts'
import { nodeHeader, optionsFor, serving } from './subject.ts'

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const once = idempotency(optionsFor<Context>(wanted, nodeHeader))
      const app = new Koa()
      app.silent = true
      app.use(once).use(koaOrigin(origin))
      return serving(app.callback(), once.close)
    },
    crash: crashing('koa'),
  },
)
