/** How a handler reaches the attempt that it runs for. */
import type { RunningAttempt } from '../core/running.ts'

const attempts = new WeakMap<object, RunningAttempt>()

/** Makes the attempt known under every object by which the framework's users know the request. */
export function cover(attempt: RunningAttempt, ...requests: readonly object[]): void {
  for (const request of requests) attempts.set(request, attempt)
}

/**
 * The attempt behind a request that is covered: its fence, signal, number and `commit`. Undefined where it is not: no key,
 * a safe method, a route that is left out, or fail-open. Takes what the framework hands to its handlers.
 */
export function idempotencyOf(request: object): RunningAttempt | undefined {
  return attempts.get(request)
}
