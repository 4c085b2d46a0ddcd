/** `oncekey/koa`: middleware for Koa 3, before or after the body parser. */
import type { Context, Next } from 'koa'
import type { HttpOptions } from './host.ts'
import { nodeHost, serveNode } from './node-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

/** Middleware that has to be closed. */
export interface KoaIdempotency {
  (context: Context, next: Next): Promise<unknown>
  /** Takes no new covered request and waits for running ones. Close the store afterwards. */
  close(): Promise<void>
}

/**
 * Middleware for what is behind it. Koa answers at the very end, so middleware in front of it has its say in what is
 * recorded. Throws `config_invalid` for options that cannot be right.
 */
export function idempotency(options: HttpOptions<Context>): KoaIdempotency {
  const host = nodeHost(options)
  const middleware = async (context: Context, next: Next): Promise<unknown> => {
    const { req, res, originalUrl: target, request } = context
    const { body: parsed } = request as { readonly body?: unknown }
    const served = await serveNode(host, { request: context, aliases: [request], req, res, target, parsed })
    if (served.kind === 'run') return served.inside(next)
    context.respond = false
    return undefined
  }
  return Object.assign(middleware, { close: () => host.close() })
}
