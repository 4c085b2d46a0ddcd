/** A `Request` on its way through a host to its `Response`: what fetch handlers and Hono have in common. */

import type { RunningAttempt } from '../core/running.ts'
import { concat } from '../core/window.ts'
import { nodeCodings } from '../platform/codings.ts'
import { nodeDigest, systemClock, systemRandom } from '../platform/node.ts'
import { stepsWhenAsked } from '../steps/index.ts'
import type { BodyRoom } from './body-room.ts'
import type { Dispatch } from './caller.ts'
import { fieldNames } from './headers.ts'
import { Host, type HttpOptions } from './host.ts'
import { rawHeaders, WebCall } from './web-call.ts'
import { WebCaller } from './web-caller.ts'

/** A request as an adapter has it. */
export interface WebRequest<Request_> {
  /** The framework's own, for `tenant`. */
  readonly own: Request_
  readonly request: Request
  /** The body's stream; the handler still needs the request's own. */
  body(): ReadableStream<Uint8Array> | Promise<Uint8Array> | null
  /** Runs the handler; `attempt` is there where it is covered. */
  run(attempt: RunningAttempt | undefined): Promise<Response>
  /** Told of work that goes on behind the answer, for runtimes that have to know (`waitUntil`). */
  behind?(work: Promise<unknown>): void
}

/** A host on the platform that Node has, and workerd with `nodejs_compat`. */
export function webHost<Request_>(options: HttpOptions<Request_>): Host<Request_> {
  return new Host(
    options,
    { clock: systemClock, random: systemRandom, digest: nodeDigest, steps: stepsWhenAsked(options) },
    nodeCodings,
  )
}

/**
 * Resolves to the answer: the handler's, a recorded one or a refusal. Rejects with what a covered handler has thrown, once
 * that is settled, so that the runtime tells it as it would without us.
 */
export async function serveWeb<Request_>(host: Host<Request_>, served: WebRequest<Request_>): Promise<Response> {
  const { request } = served
  const headers = rawHeaders(request.headers)
  const caller = new WebCaller(request.signal)
  const { pathname, search } = new URL(request.url)
  let thrown: { readonly error: unknown } | undefined
  const dispatch: Dispatch = (events, _body, attempt) => {
    const run = (): Promise<Response> =>
      served.run(attempt).catch((error: unknown) => {
        thrown = { error }
        throw error
      })
    return new WebCall(run, events, (next) => host.clock.nextTurn(next))
  }
  const handled = host.handle({
    request: served.own,
    method: request.method,
    target: `${pathname}${search}`,
    headers,
    caller,
    body: async (room) => ({ headers, body: await read(served.body(), room) }),
    dispatch,
  })
  served.behind?.(handled)
  const first = await Promise.race([caller.response, handled])
  if (thrown !== undefined) throw thrown.error
  // Whoever has hung up gets nothing, and nobody sees what.
  if (first === 'answered') return caller.started ? caller.response : new Response(null, { status: 499 })
  if (typeof first === 'object') return first
  return withStatus(await served.run(undefined), first)
}

async function read(body: ReturnType<WebRequest<unknown>['body']>, room: BodyRoom): Promise<Uint8Array> {
  if (body === null) return new Uint8Array(0)
  if (body instanceof Promise) {
    const bytes = await body
    room.take(bytes.length)
    return bytes
  }
  const chunks: Uint8Array[] = []
  const reader = body.getReader()
  for (let length = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return concat(chunks, length)
    try {
      room.take(value.length)
    } catch (error) {
      reader.cancel().catch(() => undefined)
      throw error
    }
    chunks.push(value)
    length += value.length
  }
}

/** The handler's own answer; its headers may be frozen, as those of a fetched one are. */
function withStatus(response: Response, status: string): Response {
  try {
    response.headers.set(fieldNames.status, status)
    return response
  } catch {
    const copy = new Response(response.body, response)
    copy.headers.set(fieldNames.status, status)
    return copy
  }
}
