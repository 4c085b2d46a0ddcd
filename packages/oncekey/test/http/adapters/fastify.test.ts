/** The plugin for Fastify keeps the HTTP contract. */
import Fastify, { type FastifyRequest } from 'fastify'
import { test } from 'vitest'
import { idempotency } from '../../../src/http/fastify.ts'
import { httpConformance } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { fastifyOrigin } from './fastify-origin.ts'
import { listening, nodeHeader, optionsFor } from './subject.ts'

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const app = Fastify({ forceCloseConnections: true, bodyLimit: 1e9 })
      await app.register(idempotency, optionsFor<FastifyRequest>(wanted, nodeHeader))
      fastifyOrigin(app, origin)
      await app.listen({ port: 0, host: '127.0.0.1' })
      return listening(app.server, () => app.close())
    },
    crash: crashing('fastify'),
  },
)
