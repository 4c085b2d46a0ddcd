/** One upstream: its connection pool, and a call whose events are those of the exchange's port. */
import { systemClock, type UpstreamCall, type UpstreamEvents, type UpstreamFailure } from 'oncekey/http'
import { Pool } from 'undici'
import { Circuit, type CircuitEvent } from './circuit.ts'
import { textHeaders } from './headers.ts'
import { codeOf, reasonOf } from './reason.ts'

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
  readonly #circuit: Circuit

  /** `heard` is told when the upstream cannot be reached any more, and when it can again. */
  constructor(url: URL, heard: (event: CircuitEvent) => void = () => undefined) {
    this.url = url
    this.#prefix = url.pathname.replace(/\/+$/, '')
    this.#pool = new Pool(url.origin, {
      // undici's own limit of 16 KiB would make a 502 of an answer that was paid for.
      maxHeaderSize: 64 * 1024,
      connect: { timeout: connectTimeoutMs },
      pipelining: 1,
      allowH2: false,
    })
    this.#circuit = new Circuit(() => systemClock.monotonicMs(), heard)
  }

  /** Is nobody let through at the moment, since it cannot be reached? */
  get isAway(): boolean {
    return this.#circuit.open
  }

  /** The path of an upstream's URL is put in front. */
  path(target: string): string {
    return this.#prefix + target
  }

  /** Starts a call. A body that is here whole may be sent again after a failed connect; a stream never is. */
  call(request: ForwardRequest, events: UpstreamEvents): UpstreamCall {
    const call = new Call(this.#pool, this.#circuit, { ...request, target: this.path(request.target) }, events)
    call.begin()
    return call
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

/** undici's first handler interface: raw headers as Buffers, no parsing, no copies. */
class Call implements UpstreamCall {
  readonly #pool: Pool
  readonly #circuit: Circuit
  readonly #request: ForwardRequest
  readonly #events: UpstreamEvents
  #abort: ((error?: Error) => void) | undefined
  #resume: (() => void) | undefined
  #paused = false
  #sent = false
  #over = false
  #startedMs = 0

  constructor(pool: Pool, circuit: Circuit, request: ForwardRequest, events: UpstreamEvents) {
    this.#pool = pool
    this.#circuit = circuit
    this.#request = request
    this.#events = events
  }

  begin(): void {
    const retryAfterMs = this.#circuit.ask()
    this.#startedMs = systemClock.monotonicMs()
    if (retryAfterMs === 0) return this.#start(1)
    const reason = 'The upstream has been out of reach for a while and is not asked at the moment'
    const failure = { code: 'upstream_unreachable', sent: false, cause: undefined, reason, retryAfterMs } as const
    queueMicrotask(() => this.#fail(failure))
  }

  #start(attempt: number): void {
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
            this.#circuit.connected()
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
      // undici refuses what it cannot put on the wire; nothing was sent, and nothing learnt of the upstream.
      this.#circuit.withdrawn(this.#startedMs)
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
    const replayable = !isStream(body)
    // While nobody is let through one failure is enough to say that it is still away.
    const tries = this.#circuit.open ? 1 : connectTries
    if (!this.#sent && replayable && !this.#over && attempt < tries && isConnectFailure(error)) {
      setTimeout(() => (this.#over ? this.#circuit.withdrawn(this.#startedMs) : this.#start(attempt + 1)), 50 * attempt)
      return
    }
    if (!this.#sent) this.#unconnected(error)
    const code = isTimeout(error) ? 'upstream_timeout' : 'upstream_unreachable'
    const reason = this.#sent ? undefined : reasonOf(error)
    this.#fail({ code, sent: this.#sent, cause: error, ...(reason === undefined ? {} : { reason }) })
  }

  #unconnected(error: Error): void {
    // A body that streams fails with its caller, and what undici refuses by itself is the caller's mistake too: nobody may
    // shut an upstream for others with these.
    const { body } = this.#request
    const isTheirs = isStream(body) || /^UND_ERR_(?!CONNECT_TIMEOUT|SOCKET)/.test(codeOf(error))
    if (this.#over || isTheirs) this.#circuit.withdrawn(this.#startedMs)
    else this.#circuit.failed(this.#startedMs, error)
  }

  #fail(failure: UpstreamFailure): void {
    if (this.#over) return
    this.#over = true
    this.#events.fail(failure)
  }
}

/** One that comes once: not held in memory, nor to be read again from the disk. */
function isStream(body: ForwardRequest['body']): boolean {
  return body !== null && !Buffer.isBuffer(body) && typeof body !== 'function'
}

function isTimeout(error: Error): boolean {
  return codeOf(error) === 'UND_ERR_HEADERS_TIMEOUT' || codeOf(error) === 'UND_ERR_BODY_TIMEOUT'
}

function isConnectFailure(error: Error): boolean {
  return ['ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'].includes(codeOf(error))
}
