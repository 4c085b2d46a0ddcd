/** The adapter for fetch handlers keeps the HTTP contract, behind a server that speaks fetch. */
import { createAdaptorServer } from '@hono/node-server'
import { test } from 'vitest'
import { idempotency } from '../../../src/http/fetch.ts'
import { fetchOrigin, httpConformance } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { listening, optionsFor } from './subject.ts'

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const wrap = idempotency(optionsFor<Request>(wanted, ({ headers }, name) => headers.get(name) ?? undefined))
      const handler = wrap(fetchOrigin(origin))
      return listening(createAdaptorServer({ fetch: (request) => handler(request) }) as never, wrap.close)
    },
    crash: crashing('fetch'),
  },
)
