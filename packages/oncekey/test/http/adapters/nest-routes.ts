/** An app of Nest with routes of different options: `/things` and `/b` by the module's, `/a` by its own, `/c` by none. */
import 'reflect-metadata'
import { Controller, HttpCode, Module, Post, Req } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import type { Request } from 'express'
import {
  type HttpOptions,
  type HttpRouteOptions,
  IdempotencyModule,
  Idempotent,
  idempotencyOf,
  type RunningAttempt,
} from '../../../src/http/nest.ts'
import type { OpenedServer } from '../../../src/testing/index.ts'
import { listening } from './subject.ts'

export async function nestedApp(
  options: HttpOptions<Request>,
  told: (attempt: RunningAttempt | undefined) => string,
  own: HttpRouteOptions<Request> = {},
): Promise<OpenedServer> {
  class Things {
    things(request: Request): string {
      return told(idempotencyOf(request))
    }
    busy(): string {
      return 'busy'
    }
    busyToo(): string {
      return 'busy'
    }
    uncovered(): string {
      return 'busy'
    }
  }
  const decorated = (name: keyof Things, ...decorators: MethodDecorator[]): void => {
    const descriptor = Object.getOwnPropertyDescriptor(Things.prototype, name) as PropertyDescriptor
    for (const decorate of decorators) decorate(Things.prototype, name, descriptor)
  }
  Req()(Things.prototype, 'things', 0)
  decorated('things', Post('things'), Idempotent())
  decorated('busy', Post('a'), HttpCode(503), Idempotent(own))
  decorated('busyToo', Post('b'), HttpCode(503), Idempotent())
  decorated('uncovered', Post('c'), HttpCode(503))
  Controller()(Things)
  class App {}
  Module({ imports: [IdempotencyModule.forRoot(options)], controllers: [Things] })(App)
  const app = await NestFactory.create(App, new ExpressAdapter(), { logger: false, forceCloseConnections: true })
  await app.listen(0, '127.0.0.1')
  return listening(app.getHttpServer(), () => app.close())
}
