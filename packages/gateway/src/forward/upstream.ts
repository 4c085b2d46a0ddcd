/** One upstream: its connection pool, and a call whose events are those of the exchange's port. */
import type { UpstreamCall, UpstreamEvents, UpstreamFailure } from 'oncekey/http'
import { Pool } from 'undici'
import { textHeaders } from './headers.ts'

/** The request of one call, its headers already those for the next hop. */
export interface ForwardRequest {
  readonly method: string
  /** Path and query as the caller sent them, without the upstream's own prefix. */
  readonly target: string
  /** Raw list of names and values. */
  readonly headers: string[]
  /** A function opens one that can be sent again from its begin. */
  readonly body: Buffer | NodeJS.ReadableStream | (() => NodeJS.ReadableStream) | null
  /** For the head, and between two bytes. */
  readonly timeoutMs: number
}

/** Time for TCP and TLS; an upstream that needs longer is down. */
const connectTimeoutMs = 10_000
/** Connect failures are provably before any byte, so they are tried again inside the same claim. */
const connectTries = 3

/** An HTTP API behind the gateway. */
export class Upstream {
  readonly url: URL
  readonly #pool: Pool
  readonly #prefix: string

  constructor(url: URL) {
    this.url = url
    this.#prefix = url.pathname.replace(/\/+$/, '')
    this.#pool = new Pool(url.origin, {
      // undici's own limit of 16 KiB would make a 502 of an answer that was paid for.
      maxHeaderSize: 64 * 1024,
      connect: { timeout: connectTimeoutMs },
      pipelining: 1,
      allowH2: false,
    })
  }

  /** The path of an upstream's URL is put in front. */
  path(target: string): string {
    return this.#prefix + target
  }

  /** Starts a call. A body that is here whole may be sent again after a failed connect; a stream never is. */
  call(request: ForwardRequest, events: UpstreamEvents): UpstreamCall {
    const call = new Call(this.#pool, { ...request, target: this.path(request.target) }, events)
    call.start(1)
    return call
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

/** undici's first handler interface: raw headers as Buffers, no parsing, no copies. */
class Call implements UpstreamCall {
  readonly #pool: Pool
  readonly #request: ForwardRequest
  readonly #events: UpstreamEvents
  #abort: ((error?: Error) => void) | undefined
  #resume: (() => void) | undefined
  #paused = false
  #sent = false
  #over = false

  constructor(pool: Pool, request: ForwardRequest, events: UpstreamEvents) {
    this.#pool = pool
    this.#request = request
    this.#events = events
  }

  start(attempt: number): void {
    const { method, target, headers, body, timeoutMs } = this.#request
    try {
      this.#pool.dispatch(
        {
          method: method as 'POST',
          path: target,
          headers,
          body: (typeof body === 'function' ? body() : body) as Buffer | null,
          // undici's own limits of 300 s would cut long generations.
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
        },
        {
          onConnect: (abort) => {
            this.#sent = true
            this.#abort = abort
            if (this.#over) abort()
          },
          onHeaders: (status, headers, resume) => this.#onHead(status, headers as Buffer[], resume),
          onData: (bytes) => this.#onData(bytes),
          onComplete: (trailers) => this.#onComplete(trailers as unknown as Buffer[] | null),
          onError: (error) => this.#onError(error, attempt),
        },
      )
    } catch (error) {
      // undici refuses what it cannot put on the wire; nothing was sent.
      queueMicrotask(() => this.#fail({ code: 'upstream_unreachable', sent: false, cause: error }))
    }
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    const resume = this.#resume
    if (resume !== undefined) resume()
  }

  abort(): void {
    this.#over = true
    this.#abort?.(new Error('aborted by the gateway'))
  }

  #onHead(status: number, headers: Buffer[], resume: () => void): boolean {
    if (status < 200) {
      this.#events.interim?.(status, textHeaders(headers))
      return true
    }
    this.#resume = resume
    if (!this.#over) this.#events.head(status, textHeaders(headers))
    return !this.#paused
  }

  #onData(bytes: Buffer): boolean {
    if (!this.#over) this.#events.data(bytes)
    return !this.#paused
  }

  #onComplete(trailers: Buffer[] | null): void {
    if (this.#over) return
    this.#over = true
    this.#events.end(trailers === null ? [] : textHeaders(trailers))
  }

  #onError(error: Error, attempt: number): void {
    const { body } = this.#request
    const replayable = body === null || Buffer.isBuffer(body) || typeof body === 'function'
    if (!this.#sent && replayable && !this.#over && attempt < connectTries && isConnectFailure(error)) {
      setTimeout(() => (this.#over ? undefined : this.start(attempt + 1)), 50 * attempt)
      return
    }
    const code = isTimeout(error) ? 'upstream_timeout' : 'upstream_unreachable'
    this.#fail({ code, sent: this.#sent, cause: error })
  }

  #fail(failure: UpstreamFailure): void {
    if (this.#over) return
    this.#over = true
    this.#events.fail(failure)
  }
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? ''
}

function isTimeout(error: Error): boolean {
  return codeOf(error) === 'UND_ERR_HEADERS_TIMEOUT' || codeOf(error) === 'UND_ERR_BODY_TIMEOUT'
}

function isConnectFailure(error: Error): boolean {
  return ['ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'].includes(codeOf(error))
}
