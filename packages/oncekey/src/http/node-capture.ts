/**
 * Captures what a handler does with its ServerResponse, and tells it as the events of an upstream call.
 *
 * The handler, and everything else that the app has around it, holds the same object as we do, so it is the object that is
 * altered: to the handler it behaves as a response whose client takes everything and never hangs up, while the exchange
 * decides what the real client gets, and when. A hang-up is held back from it: with `drain` it runs to its end.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { UpstreamCall, UpstreamEvents } from './caller.ts'
import type { RawHeaders } from './headers.ts'
import type { NodeCaller } from './node-caller.ts'
import { stagedSocket } from './node-socket.ts'
import { asBytes, flatHeaders, type WriteArguments, writeArguments } from './node-write.ts'

/** `getRawHeaderNames` is there since Node 15.4; its types forget it for responses. */
type Altered = ServerResponse & { getRawHeaderNames(): string[] } & { [name: string]: unknown }

/** One captured response. Install it before the handler runs, finish it when the exchange has ended. */
export class NodeCapture implements UpstreamCall {
  readonly #response: Altered
  readonly #caller: NodeCaller
  readonly #events: UpstreamEvents
  readonly #emit: (event: string, ...values: unknown[]) => boolean
  /** Headers that were there before the handler: they stay for whatever answer is sent in the end. */
  readonly #before: [string, string | number | string[]][] = []
  #real = 0
  #status = 0
  #headers: string[] | undefined
  #told = false
  #sent = 0
  readonly #trailers: string[] = []
  #ended = false
  #broken = false
  #over = false
  #closeHeld = false
  #paused = false
  #wantsDrain = false

  constructor(request: IncomingMessage, response: ServerResponse, caller: NodeCaller, events: UpstreamEvents) {
    this.#response = response as Altered
    this.#caller = caller
    this.#events = events
    this.#emit = response.emit.bind(response)
    for (const name of this.#response.getRawHeaderNames()) {
      const value = response.getHeader(name)
      if (value !== undefined) this.#before.push([name, value])
    }
    caller.lend((run) => this.#through(run))
    this.#alterState(request)
    this.#alterMethods()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (!this.#wantsDrain) return
    this.#wantsDrain = false
    this.#emit('drain')
  }

  /** Nobody listens to the handler any more; if its client has gone, now it hears of it. */
  abort(): void {
    this.finish()
  }

  /** The exchange has ended: what happens to the response from now on is real. */
  finish(): void {
    if (this.#over) return
    this.#over = true
    if (this.#closeHeld) this.#emit('close')
  }

  /** The handler gave up. Where it has not begun to answer, the client is told so. */
  fail(cause: unknown): void {
    if (this.#over || this.#ended || this.#broken) return
    this.#broken = true
    this.#events.fail({ code: 'handler_failed', sent: true, cause })
  }

  /** The same, where the handler has begun to answer. */
  interrupt(cause: unknown): void {
    if (this.#told) this.fail(cause)
  }

  #through<T>(run: () => T): T {
    this.#real += 1
    try {
      return run()
    } finally {
      this.#real -= 1
    }
  }

  /** Does the one who looks now see the real state? Once both have begun, what wraps the response outside us goes on alone. */
  get #seesReal(): boolean {
    return this.#real > 0 || this.#over || (this.#ended && this.#through(() => this.#response.headersSent))
  }

  #alterState(request: IncomingMessage): void {
    const staged: Readonly<Record<string, () => unknown>> = {
      _header: () => (this.#told || this.#headers !== undefined ? 'captured' : null),
      finished: () => this.#ended,
      destroyed: () => this.#broken,
      _closed: () => false,
    }
    const response = this.#response
    for (const [name, get] of Object.entries(staged)) this.#property(response, name, get)
    const socket = request.socket
    const standIn = stagedSocket(socket, { destroy: (cause) => this.fail(cause), isOver: () => this.#over })
    for (const holder of [response, request]) this.#property(holder as Altered, 'socket', () => standIn)
    // The package on-finished keeps its listeners here. Those from before watch the real socket; Koa's body stream and
    // "send" must not join them, or they would give up when the client does.
    let listeners: unknown
    Object.defineProperty(response, '__onFinished', {
      configurable: true,
      get: () => listeners,
      set: (next: unknown) => {
        listeners = next
      },
    })
    const derived = (name: string, get: () => boolean): void => {
      Object.defineProperty(response, name, { configurable: true, get })
    }
    const prototype = Object.getPrototypeOf(response) as object
    derived('writableFinished', () =>
      this.#through(() => Reflect.get(prototype, 'writableFinished', response) === true),
    )
    derived('writableNeedDrain', () => (this.#seesReal ? false : this.#wantsDrain))
  }

  #property(holder: object, name: string, staged: () => unknown): void {
    let value: unknown = Reflect.get(holder, name)
    Object.defineProperty(holder, name, {
      configurable: true,
      enumerable: true,
      get: () => (this.#seesReal ? value : staged()),
      set: (next: unknown) => {
        value = next
      },
    })
  }

  #alterMethods(): void {
    const response = this.#response
    this.#method('writeHead', (...values) => this.#writeHead(values))
    this.#method('write', (...values) => this.#write(writeArguments(values)))
    this.#method('end', (...values) => this.#end(writeArguments(values)))
    this.#method('flushHeaders', () => this.#begin(undefined))
    this.#method('addTrailers', (given) => void this.#trailers.push(...flatHeaders(given)))
    this.#method('destroy', (cause) => {
      this.fail(cause)
      return response
    })
    // On a recorded request nobody hears interim answers.
    for (const name of ['writeContinue', 'writeProcessing', 'writeEarlyHints']) {
      this.#method(name, (...values) => writeArguments(values).callback?.())
    }
    for (const name of ['setHeader', 'appendHeader', 'removeHeader', 'setHeaders']) {
      const original = response[name] as (...values: unknown[]) => unknown
      this.#method(name, (...values) => {
        if (this.#headers !== undefined) throw headersSent()
        return original.apply(response, values)
      })
    }
    // A response that waited for its turn on the connection is written out in here.
    const assign = response.assignSocket
    response.assignSocket = (socket) => this.#through(() => assign.call(response, socket))
    response.emit = (event: string, ...values: unknown[]) => this.#heard(event, values)
  }

  #method(name: string, captured: (...values: unknown[]) => unknown): void {
    const response = this.#response
    const original = response[name] as ((...values: unknown[]) => unknown) | undefined
    if (original === undefined) return
    response[name as 'write'] = ((...values: unknown[]) =>
      this.#real > 0 || (this.#over && !this.#ended && !this.#broken)
        ? original.apply(response, values)
        : captured(...values)) as never
  }

  #heard(event: string, values: unknown[]): boolean {
    if (this.#over) return this.#emit(event, ...values)
    if (event === 'drain') this.#caller.drained()
    else if (event === 'close') {
      this.#caller.closed()
      // Its end was sent, or it has gone: the handler hears of either when the exchange has ended.
      if (this.#over) return this.#emit(event, ...values)
      this.#closeHeld = true
    } else return this.#emit(event, ...values)
    return true
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
    if (this.#told || this.#over) return
    const headers = this.#headers ?? this.#takeHead()
    this.#told = true
    if (!this.#isBodyless && this.#declared === undefined && !has(headers, 'transfer-encoding')) {
      // The end of a captured body is always known: it is the handler's call of `end`.
      if (length === undefined) headers.push('Transfer-Encoding', 'chunked')
      else headers.push('Content-Length', String(length))
    }
    this.#events.head(this.#status, headers)
  }

  #write({ chunk, encoding, callback }: WriteArguments): boolean {
    if (callback !== undefined) process.nextTick(callback)
    if (this.#ended || this.#broken || this.#over) return false
    this.#begin(undefined)
    this.#data(asBytes(chunk, encoding))
    if (this.#paused) this.#wantsDrain = true
    return !this.#paused
  }

  #end({ chunk, encoding, callback }: WriteArguments): ServerResponse {
    const response = this.#response
    if (callback !== undefined) response.once('finish', callback)
    if (this.#ended || this.#broken || this.#over) return response
    const bytes = chunk === undefined || chunk === null ? new Uint8Array(0) : asBytes(chunk, encoding)
    this.#begin(bytes.length)
    this.#data(bytes)
    const { declared, sent } = { declared: this.#declared, sent: this.#sent }
    if (declared !== undefined && declared !== sent && !this.#isBodyless) {
      this.fail(new Error(`the handler declared ${declared} bytes and sent ${sent}`))
      return response
    }
    this.#ended = true
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
