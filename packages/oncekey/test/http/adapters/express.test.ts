/** The middleware for Express keeps the HTTP contract. */
import express, { type Request } from 'express'
import { test } from 'vitest'
import { idempotency } from '../../../src/http/express.ts'
import { httpConformance, nodeOrigin } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { nodeHeader, optionsFor, serving } from './subject.ts'

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const once = idempotency(optionsFor<Request>(wanted, nodeHeader))
      const app = express().set('env', 'test')
      app.use(once, nodeOrigin(origin))
      return serving(app, once.close)
    },
    crash: crashing('express'),
  },
)
