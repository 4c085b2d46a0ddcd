/** A request of node:http on its way through a host: what Node, Express, Koa, Fastify and Nest have in common. */
import { AsyncResource } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { IdempotencyError } from '../core/errors.ts'
import { nodeCodings } from '../platform/codings.ts'
import { nodeDigest, systemClock, systemRandom } from '../platform/node.ts'
import { stepsWhenAsked } from '../steps/index.ts'
import { cover, idempotencyOf } from './covered.ts'
import { fieldNames } from './headers.ts'
import { Host, type HttpOptions, type HttpRouteOptions } from './host.ts'
import { nodeBody } from './node-body.ts'
import { NodeCaller } from './node-caller.ts'
import { NodeCapture } from './node-capture.ts'

/** A request as a framework over node:http has it. */
export interface NodeRequest<Request extends object> {
  /** The framework's own; further objects by which its users know the request are `aliases`. */
  readonly request: Request
  readonly aliases?: readonly object[]
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Path and query as the client sent them, where the framework has changed `req.url`. */
  readonly target?: string | undefined
  /** What a parser in front has made of the body. */
  readonly parsed?: unknown
  /** The route's own options, the same object each time. */
  readonly overrides?: HttpRouteOptions<Request> | undefined
}

/** What is to be done next. */
export type NodeServed =
  /** The answer has been sent. */
  | { readonly kind: 'answered' }
  /** The handler is to run now. */
  | {
      readonly kind: 'run'
      /** Runs what leads to the handler in the async context of its attempt, so that its spans are the attempt's. */
      inside<T>(run: () => T): T
      /** For a handler whose framework turns no error into an answer; resolves when that is sent. */
      fail(error: unknown): Promise<void>
      /** For one whose framework ends an answer that had begun as if it were whole. */
      interrupt(error: unknown): void
    }

/** The response of HTTP/2 has other insides, and none of what captures this one. */
function notHttp1(): IdempotencyError {
  const sentence =
    'Nothing that comes by node:http2 can be covered. Let a proxy in front speak HTTP/2, or use oncekey/fetch or oncekey/hono.'
  return new IdempotencyError('config_invalid', sentence)
}

const uncovered: NodeServed = {
  kind: 'run',
  inside: (run) => run(),
  fail: async () => undefined,
  interrupt: () => undefined,
}

/** A host on Node's clock, chance, hashing and codings. */
export function nodeHost<Request>(options: HttpOptions<Request>): Host<Request> {
  return new Host(
    options,
    { clock: systemClock, random: systemRandom, digest: nodeDigest, steps: stepsWhenAsked(options) },
    nodeCodings,
  )
}

/** Resolves when the request is answered, or when its handler is to run: then what it writes is captured already. */
export function serveNode<Request extends object>(
  host: Host<Request>,
  served: NodeRequest<Request>,
): Promise<NodeServed> {
  const { request, aliases = [], req, res, overrides } = served
  // Mounted twice: the outer one covers it.
  if (idempotencyOf(req) !== undefined) return Promise.resolve(uncovered)
  if (req.httpVersionMajor !== 1 && !/^(?:GET|HEAD|OPTIONS)$/.test(req.method ?? '')) return Promise.reject(notHttp1())
  const caller = new NodeCaller(res)
  return new Promise((resolve) => {
    let capture: NodeCapture | undefined
    const hosted = {
      request,
      method: req.method ?? '',
      target: served.target ?? req.url ?? '/',
      headers: req.rawHeaders,
      caller,
      body: (room: Parameters<typeof nodeBody>[2]) =>
        nodeBody(req, served.parsed, room).catch((error: unknown) => {
          // What is left of the body is not read.
          if (!req.complete && !res.headersSent) res.setHeader('Connection', 'close')
          throw error
        }),
      dispatch: (...[events, , attempt]: Parameters<Parameters<Host<Request>['handle']>[0]['dispatch']>) => {
        const captured = new NodeCapture(req, res, caller, events)
        capture = captured
        cover(attempt, request, req, ...aliases)
        const fail = async (error: unknown): Promise<void> => {
          captured.fail(error)
          await done
        }
        const here = new AsyncResource('oncekey attempt')
        const inside = <T>(run: () => T): T => here.runInAsyncScope(run)
        resolve({ kind: 'run', inside, fail, interrupt: (error) => captured.interrupt(error) })
        return captured
      },
    }
    const done = host.handle(hosted, overrides).then((how) => {
      capture?.finish()
      if (how === 'answered') return resolve({ kind: 'answered' })
      res.setHeader(fieldNames.status, how)
      resolve(uncovered)
    })
  })
}
