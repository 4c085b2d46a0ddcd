/** `oncekey/nest`: a module and a decorator for Nest 12, on Express and on Fastify. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  type CallHandler,
  type CustomDecorator,
  type DynamicModule,
  type ExecutionContext,
  Inject,
  Module,
  type NestInterceptor,
  type OnApplicationShutdown,
  SetMetadata,
} from '@nestjs/common'
import { APP_INTERCEPTOR, Reflector } from '@nestjs/core'
import { NEVER, Observable, tap } from 'rxjs'
import type { Host, HttpOptions, HttpRouteOptions } from './host.ts'
import { lendHeaders, type ReplyOfFastify } from './node-reply.ts'
import { nodeHost, serveNode } from './node-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

const hostToken = Symbol('oncekey host')
const overridesKey = Symbol('oncekey overrides')

/** What the two platforms have in common; Fastify keeps Node's own in `raw`. */
type PlatformRequest = IncomingMessage & { raw?: IncomingMessage; originalUrl?: string; body?: unknown }
type PlatformResponse = ServerResponse | ReplyOfFastify

/** Covers a handler, or all of a controller; `overrides` go before the options of the module. */
export function Idempotent<Request extends object>(overrides: HttpRouteOptions<Request> = {}): CustomDecorator<symbol> {
  return SetMetadata(overridesKey, overrides)
}

/** `IdempotencyModule.forRoot(options)` in the root module. The engine is closed on `app.close()`; the store is yours. */
export class IdempotencyModule implements OnApplicationShutdown {
  readonly #host: Host<PlatformRequest>

  constructor(host: Host<PlatformRequest>) {
    this.#host = host
  }

  /** `Request` is the platform's, for `tenant`, which runs behind the guards. Throws `config_invalid`. */
  static forRoot<Request extends object>(options: HttpOptions<Request>): DynamicModule {
    const host = nodeHost(options)
    return {
      module: IdempotencyModule,
      providers: [
        { provide: hostToken, useValue: host },
        {
          provide: APP_INTERCEPTOR,
          useFactory: (reflector: Reflector) => new Interceptor(host as Host<never>, reflector),
          inject: [Reflector],
        },
      ],
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#host.close()
  }
}

class Interceptor implements NestInterceptor {
  readonly #host: Host<PlatformRequest>
  readonly #reflector: Reflector

  constructor(host: Host<PlatformRequest>, reflector: Reflector) {
    this.#host = host
    this.#reflector = reflector
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const places = [context.getHandler(), context.getClass()]
    const overrides = this.#reflector.getAllAndOverride<HttpRouteOptions<PlatformRequest> | undefined>(
      overridesKey,
      places,
    )
    if (overrides === undefined || context.getType() !== 'http') return next.handle()
    const request = context.switchToHttp().getRequest<PlatformRequest>()
    const response = context.switchToHttp().getResponse<PlatformResponse>()
    const reply = 'hijack' in response ? response : undefined
    const forget = reply === undefined ? undefined : lendHeaders(reply)
    const { raw: req = request, originalUrl: target, body: parsed } = request
    const res = 'hijack' in response ? response.raw : response
    const served = await serveNode(this.#host, { request, req, res, target, parsed, overrides })
    if (served.kind === 'run') {
      forget?.()
      // Nest ends an answer that its handler had begun before it threw.
      const handled = next.handle().pipe(tap({ error: (error: unknown) => served.interrupt(error) }))
      return new Observable((subscriber) => served.inside(() => handled.subscribe(subscriber)))
    }
    reply?.hijack()
    // Nest would send a value; there is none to come.
    return NEVER
  }
}

// As decorators do it, without their syntax.
Module({})(IdempotencyModule)
Inject(hostToken)(IdempotencyModule, undefined, 0)
