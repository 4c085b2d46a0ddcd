/** `oncekey/node`: a handler of node:http made idempotent. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpOptions } from './host.ts'
import { nodeHost, serveNode } from './node-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

/** What `http.createServer` takes. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown

/** Wraps handlers; all of them share one engine, which `close` closes. */
export interface NodeIdempotency {
  (handler: NodeHandler): (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** Takes no new covered request and waits for running ones. Close the store afterwards. */
  close(): Promise<void>
}

/**
 * `idempotency(options)(handler)`. What a covered handler throws is told to its client as `handler_failed`, and then
 * rejects the returned promise, as it would without us. Throws `config_invalid` for options that cannot be right.
 */
export function idempotency(options: HttpOptions<IncomingMessage>): NodeIdempotency {
  const host = nodeHost(options)
  const wrap =
    (handler: NodeHandler) =>
    async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const served = await serveNode(host, { request, req: request, res: response })
      if (served.kind === 'answered') return
      try {
        await served.inside(() => handler(request, response))
      } catch (error) {
        await served.fail(error)
        throw error
      }
    }
  return Object.assign(wrap, { close: () => host.close() })
}
