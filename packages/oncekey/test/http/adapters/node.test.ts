/** The adapter for node:http keeps the HTTP contract. */
import type { IncomingMessage } from 'node:http'
import { test } from 'vitest'
import { idempotency } from '../../../src/http/node.ts'
import { httpConformance, nodeOrigin } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { nodeHeader, optionsFor, serving } from './subject.ts'

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const wrap = idempotency(optionsFor<IncomingMessage>(wanted, nodeHeader))
      const handler = wrap(nodeOrigin(origin))
      // What a handler throws goes on to whoever calls it.
      return serving((request, response) => void handler(request, response).catch(() => undefined), wrap.close)
    },
    crash: crashing('node'),
  },
)
