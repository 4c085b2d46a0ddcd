/** `oncekey/fetch`: a fetch handler, `Request` → `Response`, made idempotent. */
import type { RunningAttempt } from '../core/running.ts'
import { cover } from './covered.ts'
import type { HttpOptions } from './host.ts'
import { serveWeb, webHost } from './web-serve.ts'

export type { RunningAttempt } from '../core/running.ts'
export type { CommittedAnswer } from './commit.ts'
export { idempotencyOf } from './covered.ts'
export type { HttpOptions, HttpRouteOptions } from './host.ts'

/** A fetch handler; `rest` is what the runtime hands over beside the request. */
export type FetchHandler<Rest extends unknown[]> = (request: Request, ...rest: Rest) => Response | Promise<Response>

/** Wraps handlers; all of them share one engine, which `close` closes. */
export interface FetchIdempotency {
  <Rest extends unknown[]>(handler: FetchHandler<Rest>): (request: Request, ...rest: Rest) => Promise<Response>
  /** Takes no new covered request and waits for running ones. Close the store afterwards. */
  close(): Promise<void>
}

/**
 * `idempotency(options)(handler)`. A covered handler gets a request whose `signal` does not fire when its client hangs up,
 * but when the attempt is lost. Where the runtime hands over a `waitUntil`, it is told of executions that go on behind
 * their answer. Throws `config_invalid` for options that cannot be right.
 */
export function idempotency(options: HttpOptions<Request>): FetchIdempotency {
  const host = webHost(options)
  const wrap =
    <Rest extends unknown[]>(handler: FetchHandler<Rest>) =>
    (request: Request, ...rest: Rest): Promise<Response> =>
      serveWeb(host, {
        own: request,
        request,
        body: () => request.clone().body,
        run: async (attempt) => handler(attempt === undefined ? request : covered(request, attempt), ...rest),
        behind: (work) => waiterOf(rest)?.waitUntil(work),
      })
  return Object.assign(wrap, { close: () => host.close() })
}

/** The request as a handler gets it that runs to its end. */
function covered(request: Request, attempt: RunningAttempt): Request {
  const own = new Request(request, { signal: attempt.signal })
  cover(attempt, own, request)
  return own
}

/** Workers and edge functions are told of work behind an answer by an object beside the request. */
function waiterOf(rest: readonly unknown[]): { waitUntil(work: Promise<unknown>): void } | undefined {
  const knows = (one: unknown): one is { waitUntil(work: Promise<unknown>): void } =>
    typeof one === 'object' && one !== null && typeof (one as { waitUntil?: unknown }).waitUntil === 'function'
  return rest.find(knows)
}
