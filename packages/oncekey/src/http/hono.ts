/** `oncekey/hono`: middleware for Hono 4, on Node and on every fetch runtime that has Node's crypto and zlib. */
import type { Context, MiddlewareHandler } from 'hono'
import { cover } from './covered.ts'
import type { HttpOptions } from './host.ts'
import { serveWeb, webHost } from './web-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

/** Middleware that has to be closed. */
export interface HonoIdempotency extends MiddlewareHandler {
  /** Takes no new covered request and waits for running ones. Close the store afterwards. */
  close(): Promise<void>
}

/**
 * Middleware for what is behind it; what is in front of it sees each answer, fresh or recorded. Throws `config_invalid`
 * for options that cannot be right.
 */
export function idempotency(options: HttpOptions<Context>): HonoIdempotency {
  const host = webHost(options)
  const middleware: MiddlewareHandler = async (context, next) => {
    const { req } = context
    let ran = false
    const response = await serveWeb(host, {
      own: context,
      request: req.raw,
      body: () => (req.raw.bodyUsed ? req.arrayBuffer().then((bytes) => new Uint8Array(bytes)) : req.raw.clone().body),
      run: async (attempt) => {
        ran = true
        if (attempt !== undefined) {
          // Its signal must not fire when the client hangs up: the handler runs to its end.
          if (!req.raw.bodyUsed) req.raw = new Request(req.raw, { signal: attempt.signal })
          cover(attempt, context, req, req.raw)
        }
        await next()
        return context.res
      },
      behind: (work) => behind(context, work),
    })
    // Setting a response over another one would mix their headers.
    if (ran) context.res = undefined
    context.res = response
  }
  return Object.assign(middleware, { close: () => host.close() })
}

/** Only some runtimes have it, and asking the others throws. */
function behind(context: Context, work: Promise<unknown>): void {
  try {
    context.executionCtx.waitUntil(work)
  } catch {
    // A server that lives on needs no telling.
  }
}
