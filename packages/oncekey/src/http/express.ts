/** `oncekey/express`: middleware for Express 5, before or after the body parser. */
import type { Request, RequestHandler } from 'express'
import type { HttpOptions } from './host.ts'
import { nodeHost, serveNode } from './node-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

/** Middleware that has to be closed. */
export interface ExpressIdempotency extends RequestHandler {
  /** Takes no new covered request and waits for running ones. Close the store afterwards. */
  close(): Promise<void>
}

/** Middleware for the routes behind it. Throws `config_invalid` for options that cannot be right. */
export function idempotency(options: HttpOptions<Request>): ExpressIdempotency {
  const host = nodeHost(options)
  const middleware: RequestHandler = async (request, response, next) => {
    const { originalUrl: target, body: parsed } = request
    const served = await serveNode(host, { request, req: request, res: response, target, parsed })
    if (served.kind === 'run') served.inside(next)
  }
  return Object.assign(middleware, { close: () => host.close() })
}
