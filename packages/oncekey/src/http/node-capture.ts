/** Captures what a handler does with its ServerResponse, and tells it as the events of an upstream call. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { UpstreamCall, UpstreamEvents } from './caller.ts'
import type { RawHeaders } from './headers.ts'
import type { NodeCaller } from './node-caller.ts'
import { Stage, type Staged } from './node-stage.ts'
import { asBytes, flatHeaders, type WriteArguments, writeArguments } from './node-write.ts'

/** `getRawHeaderNames` is there since Node 15.4; its types forget it for responses. */
type Named = ServerResponse & { getRawHeaderNames(): string[] }

/** One captured response. Made before the handler runs, finished when the exchange has ended. */
export class NodeCapture implements UpstreamCall, Staged {
  readonly #response: Named
  readonly #events: UpstreamEvents
  readonly #stage: Stage
  /** Headers that were there before the handler: they stay for whatever answer is sent in the end. */
  readonly #before: [string, string | number | string[]][] = []
  #status = 0
  #headers: string[] | undefined
  #told = false
  #sent = 0
  readonly #trailers: string[] = []
  #paused = false
  ended = false
  broken = false
  wantsDrain = false

  constructor(request: IncomingMessage, response: ServerResponse, caller: NodeCaller, events: UpstreamEvents) {
    this.#response = response as Named
    this.#events = events
    for (const name of this.#response.getRawHeaderNames()) {
      const value = response.getHeader(name)
      if (value !== undefined) this.#before.push([name, value])
    }
    this.#stage = new Stage(request, response, caller, this)
    this.#alterMethods()
  }

  get headSent(): boolean {
    return this.#headers !== undefined
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (!this.wantsDrain) return
    this.wantsDrain = false
    this.#stage.drain()
  }

  /** Nobody listens to the handler any more; if its client has gone, now it hears of it. */
  abort(): void {
    this.finish()
  }

  /** The exchange has ended. */
  finish(): void {
    this.#stage.finish()
  }

  /** The handler gave up. Where it has not begun to answer, the client is told so. */
  fail(cause: unknown): void {
    if (this.#isDeaf) return
    this.broken = true
    this.#events.fail({ code: 'handler_failed', sent: true, cause })
  }

  /** The same, where the handler has begun to answer. */
  interrupt(cause: unknown): void {
    if (this.#told) this.fail(cause)
  }

  get #isDeaf(): boolean {
    return this.ended || this.broken || this.#stage.isOver
  }

  #alterMethods(): void {
    const response = this.#response
    const stage = this.#stage
    stage.method('writeHead', (...values) => this.#writeHead(values))
    stage.method('write', (...values) => this.#write(writeArguments(values)))
    stage.method('end', (...values) => this.#end(writeArguments(values)))
    stage.method('flushHeaders', () => this.#begin(undefined))
    stage.method('addTrailers', (given) => void this.#trailers.push(...flatHeaders(given)))
    stage.method('destroy', (cause) => {
      this.fail(cause)
      return response
    })
    // On a recorded request nobody hears interim answers.
    for (const name of ['writeContinue', 'writeProcessing', 'writeEarlyHints']) {
      stage.method(name, (...values) => writeArguments(values).callback?.())
    }
    for (const name of ['setHeader', 'appendHeader', 'removeHeader', 'setHeaders'] as const) {
      const original = response[name] as ((...values: unknown[]) => unknown) | undefined
      stage.method(name, (...values) => {
        if (this.#headers !== undefined) throw headersSent()
        return original?.apply(response, values)
      })
    }
  }

  #writeHead(values: readonly unknown[]): ServerResponse {
    if (this.#headers !== undefined) throw headersSent()
    const [status, ...rest] = values
    const given = flatHeaders(typeof rest[0] === 'string' ? rest[1] : rest[0])
    const response = this.#response
    for (let at = 0; at < given.length; at += 2) response.removeHeader(given[at] as string)
    for (let at = 0; at < given.length; at += 2) response.appendHeader(given[at] as string, given[at + 1] as string)
    response.statusCode = Number(status)
    this.#takeHead()
    return response
  }

  /** The head as it is now; the real response gets back what it had before the handler. */
  #takeHead(): string[] {
    const response = this.#response
    const raw: string[] = []
    for (const name of response.getRawHeaderNames()) {
      for (const value of [response.getHeader(name) ?? []].flat()) raw.push(name, String(value))
      response.removeHeader(name)
    }
    for (const [name, value] of this.#before) response.setHeader(name, value)
    this.#status = response.statusCode
    this.#headers = raw
    return raw
  }

  /** Tells the head; `length` where the first bytes are also the last. */
  #begin(length: number | undefined): void {
    if (this.#told || this.#stage.isOver) return
    const headers = this.#headers ?? this.#takeHead()
    this.#told = true
    if (!this.#isBodyless && this.#declared === undefined && !has(headers, 'transfer-encoding')) {
      // The end of a captured body is always known: it is the handler's call of `end`.
      if (length === undefined) headers.push('transfer-encoding', 'chunked')
      else headers.push('Content-Length', String(length))
    }
    this.#events.head(this.#status, headers)
  }

  #write({ chunk, encoding, callback }: WriteArguments): boolean {
    if (callback !== undefined) process.nextTick(callback)
    if (this.#isDeaf) return false
    this.#begin(undefined)
    this.#data(asBytes(chunk, encoding))
    if (this.#paused) this.wantsDrain = true
    return !this.#paused
  }

  #end({ chunk, encoding, callback }: WriteArguments): ServerResponse {
    const response = this.#response
    if (callback !== undefined) response.once('finish', callback)
    if (this.#isDeaf) return response
    const bytes = chunk === undefined || chunk === null ? new Uint8Array(0) : asBytes(chunk, encoding)
    this.#begin(bytes.length)
    this.#data(bytes)
    const { declared, sent } = { declared: this.#declared, sent: this.#sent }
    if (declared !== undefined && declared !== sent && !this.#isBodyless) {
      this.fail(new Error(`the handler declared ${declared} bytes and sent ${sent}`))
      return response
    }
    this.ended = true
    this.#events.end(this.#trailers)
    return response
  }

  #data(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#isBodyless) return
    this.#sent += bytes.length
    this.#events.data(bytes)
  }

  get #isBodyless(): boolean {
    return this.#status === 204 || this.#status === 304
  }

  get #declared(): number | undefined {
    const at = this.#headers?.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length')
    return at === undefined || at < 0 ? undefined : Number(this.#headers?.[at + 1])
  }
}

function has(headers: RawHeaders, field: string): boolean {
  return headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === field)
}

function headersSent(): Error {
  return Object.assign(new Error('Cannot set headers after they are sent to the client'), {
    code: 'ERR_HTTP_HEADERS_SENT',
  })
}
