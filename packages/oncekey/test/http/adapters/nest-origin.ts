/** The suite's origin in a controller of Nest; decorators are called, for the tests have no build step for their syntax. */
import 'reflect-metadata'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { All, Controller, type INestApplication, Module, Req, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { type HttpOptions, IdempotencyModule, Idempotent } from '../../../src/http/nest.ts'
import { nodeOrigin, type Origin } from '../../../src/testing/index.ts'

export type Platform = 'express' | 'fastify'

type Platformed = IncomingMessage & { readonly raw?: IncomingMessage }
type Answered = ServerResponse & { readonly raw?: ServerResponse }

export async function nestApp(
  platform: Platform,
  origin: Origin,
  options: HttpOptions<never>,
): Promise<INestApplication> {
  const run = nodeOrigin(origin)
  class Things {
    async run(request: Platformed, response: Answered): Promise<void> {
      await run(request.raw ?? request, response.raw ?? response)
    }
  }
  Req()(Things.prototype, 'run', 0)
  Res()(Things.prototype, 'run', 1)
  const descriptor = Object.getOwnPropertyDescriptor(Things.prototype, 'run') as PropertyDescriptor
  All(platform === 'express' ? '*all' : '*')(Things.prototype, 'run', descriptor)
  Idempotent()(Things.prototype, 'run', descriptor)
  Controller()(Things)
  class App {}
  Module({ imports: [IdempotencyModule.forRoot(options)], controllers: [Things] })(App)
  const adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter({ bodyLimit: 1e9 })
  if (adapter instanceof FastifyAdapter) {
    const fastify = adapter.getInstance()
    fastify.removeAllContentTypeParsers()
    fastify.addContentTypeParser('*', (_request: unknown, _body: unknown, done: (error: null) => void) => done(null))
  }
  return NestFactory.create(App, adapter as never, { logger: false, bodyParser: false, forceCloseConnections: true })
}
