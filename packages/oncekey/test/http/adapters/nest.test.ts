/** The module for Nest keeps the HTTP contract, on Express and on Fastify. */
import { describe, test } from 'vitest'
import { httpConformance } from '../../../src/testing/index.ts'
import { crashing } from './crash.ts'
import { nestApp, type Platform } from './nest-origin.ts'
import { listening, nodeHeader, optionsFor } from './subject.ts'

describe.each<Platform>(['express', 'fastify'])('on %s', (platform) => {
  httpConformance(
    { test },
    {
      async open(origin, wanted) {
        const app = await nestApp(platform, origin, optionsFor<never>(wanted, nodeHeader))
        await app.listen(0, '127.0.0.1')
        return listening(app.getHttpServer(), () => app.close())
      },
      crash: crashing(`nest-${platform}`),
    },
  )
})
