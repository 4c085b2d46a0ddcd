/** The ports at both edges of an exchange: the caller who gets the answer, and the upstream that makes it. */
import type { Caller } from '../core/operation.ts'
import type { RunningAttempt } from '../core/running.ts'
import type { StreamedContent } from './content.ts'
import type { RawHeaders } from './headers.ts'

/** Whoever asked, as an adapter presents him: writes with back-pressure, and a cut that no client takes for an end. */
export interface HttpCaller extends Caller {
  /** Has a head gone out? Then only bytes, an end or a cut can follow. */
  readonly started: boolean
  /** Called when there is room again after `write` answered false. */
  onDrain: (() => void) | undefined
  /** A whole answer in one piece. The body's length is the caller's to declare. */
  answer(status: number, headers: RawHeaders, body: Uint8Array): void
  start(status: number, headers: RawHeaders): void
  /** False: wait for `onDrain` before the next. */
  write(bytes: Uint8Array): boolean
  end(trailers?: RawHeaders): void
  /** Destroys the connection, so that no client takes what came for the whole. */
  cut(): void
}

/** How an upstream call failed; `sent` tells whether the request may have reached it. */
export interface UpstreamFailure {
  readonly code: 'upstream_unreachable' | 'upstream_timeout' | 'handler_failed'
  readonly sent: boolean
  readonly cause: unknown
  /** Why, as the beginning of a sentence, where there is more to say than that it could not be reached. */
  readonly reason?: string
  /** When it makes sense to ask again, if that is known. */
  readonly retryAfterMs?: number
}

/** What an upstream call tells, in this order: head, data …, then end or fail; or fail alone. */
export interface UpstreamEvents {
  /** A 1xx; nobody hears it on a recorded request. */
  interim?(status: number, headers: RawHeaders): void
  head(status: number, headers: RawHeaders): void
  data(bytes: Uint8Array): void
  end(trailers: RawHeaders): void
  fail(failure: UpstreamFailure): void
}

/** A running upstream call. */
export interface UpstreamCall {
  pause(): void
  resume(): void
  /** Breaks it off; no event follows. */
  abort(): void
}

/**
 * Starts the call, whose request the adapter has at hand; `body` replaces its body. Never called twice for one claim.
 * `attempt` is for the code that runs: its `commit` takes a `CommittedAnswer` for the value.
 */
export type Dispatch = (events: UpstreamEvents, body: Uint8Array | undefined, attempt: RunningAttempt) => UpstreamCall

/** The request. */
export interface HttpRequest {
  readonly method: string
  /** As sent, without the query. */
  readonly path: string
  /** As sent, without the question mark. */
  readonly query: string
  readonly headers: RawHeaders
  /** Whole; empty where it is `streamed`. */
  readonly body: Uint8Array
  /** Of a body that is not in memory: the adapter has it elsewhere, whole, when it asks. */
  readonly streamed?: StreamedContent | undefined
}

/** An answer that is whole and in memory. */
export interface WholeAnswer {
  readonly status: number
  readonly headers: RawHeaders
  readonly body: Uint8Array
}
