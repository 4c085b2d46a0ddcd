/** What an upstream's head and failures say about how the execution will end. */
import { IdempotencyError } from '../core/errors.ts'
import { type Classify, classOf, type EndingClass, type fateOf } from '../core/outcome.ts'
import type { UpstreamFailure } from './caller.ts'
import { fieldValue, type RawHeaders } from './headers.ts'

/** An upstream's head, read once. */
export interface Head {
  readonly status: number
  readonly headers: RawHeaders
  readonly length: number | undefined
  /** Has the body an end of its own, a length or a last chunk? One that ends with its connection may have been cut. */
  readonly framed: boolean
  readonly class: EndingClass
  readonly retryAfterMs: number
}

/** Reads a head; its class is that of an answer that will be whole. */
export function headOf(status: number, headers: RawHeaders, classify: Classify | undefined): Head {
  const header = (name: string): string | undefined => fieldValue(headers, name)
  const length = header('content-length')
  const { class: ending, retryAfterMs } = classOf({ kind: 'response', status, header, complete: true }, classify)
  return {
    status,
    headers,
    length: length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined,
    framed: length !== undefined || /\bchunked\b/i.test(header('transfer-encoding') ?? ''),
    class: ending,
    retryAfterMs,
  }
}

/** Is it a stream of server-sent events? */
export function isEventStream(headers: RawHeaders): boolean {
  return /^\s*text\/event-stream\b/i.test(fieldValue(headers, 'content-type') ?? '')
}

/** Is it JSON, as one value and not as a stream of lines? */
export function isJsonAnswer(headers: RawHeaders): boolean {
  return /^\s*(?:application|text)\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(fieldValue(headers, 'content-type') ?? '')
}

/** A failure as the caller is told of it: above all, whether the request may have run. */
export function failureError(
  failure: UpstreamFailure,
  ending: EndingClass,
  fate: ReturnType<typeof fateOf>,
): IdempotencyError {
  const what =
    failure.reason ??
    (failure.code === 'handler_failed'
      ? 'The handler failed before it had answered'
      : failure.code === 'upstream_timeout'
        ? 'The upstream did not answer in time'
        : failure.sent
          ? 'The connection to the upstream broke'
          : 'The upstream could not be reached')
  const mayHaveRun = ending !== 'not_executed'
  const consequence = {
    released: mayHaveRun
      ? 'the request may have been executed, and by the policy of this route a retry executes it again'
      : 'the request was not executed; a retry with the same key executes it',
    unknown:
      'the request may have been executed, so a retry with the same key will not run it again; an operator has to resolve the record',
    lapse: 'the request may have been executed; the next attempt asks the provider first',
    completed: 'the failure is recorded as the outcome',
  }[fate]
  return new IdempotencyError(failure.code, `${what}; ${consequence}.`, {
    retryable: fate !== 'unknown',
    mayHaveRun,
    cause: failure.cause,
    ...(failure.retryAfterMs === undefined ? {} : { retryAfterMs: failure.retryAfterMs }),
  })
}
