/** `oncekey/fastify`: a plugin for Fastify 5; covers what is registered in the same scope and below. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { HttpOptions, HttpRouteOptions } from './host.ts'
import { lendHeaders } from './node-reply.ts'
import { nodeHost, serveNode } from './node-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Options of this route in place of the plugin's; false leaves it out. */
    idempotency?: HttpRouteOptions<FastifyRequest> | false
  }
}

async function plugin(app: FastifyInstance, options: HttpOptions<FastifyRequest>): Promise<void> {
  const host = nodeHost(options)
  app.addHook('preHandler', async (request, reply) => {
    const overrides = request.routeOptions.config.idempotency
    if (overrides === false) return undefined
    const { raw: req, body: parsed } = request
    const forget = lendHeaders(reply)
    const served = await serveNode(host, {
      request,
      req,
      res: reply.raw,
      target: request.originalUrl,
      parsed,
      overrides,
    })
    if (served.kind === 'answered') return reply.hijack()
    forget()
    return undefined
  })
  app.addHook('onClose', () => host.close())
}

/**
 * `app.register(idempotency, options)`. Requests are judged after parsing, validation and authentication, before the
 * handler. The engine is closed with the app; close the store afterwards.
 */
export const idempotency: typeof plugin = Object.assign(plugin, {
  // As fastify-plugin does it: hooks hold for the scope that registers us, not for one of our own.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'oncekey',
})
