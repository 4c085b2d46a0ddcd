/**
 * Gives one ServerResponse two sides. The handler, and everything else that the app has around it, holds the same object
 * as we do, so it is the object that is altered: to them it behaves as a response whose client takes everything and never
 * hangs up, while what runs inside `through` sees and does the real thing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NodeCaller, ResponseDoor } from './node-caller.ts'
import { stagedSocket } from './node-socket.ts'

/** The response as the handler is to see it. */
export interface Staged {
  readonly headSent: boolean
  readonly ended: boolean
  readonly broken: boolean
  readonly wantsDrain: boolean
  /** The handler's side has destroyed something. */
  fail(cause: unknown): void
}

type Altered = ServerResponse & { [name: string]: unknown }

/** One response with two sides, from its making until `finish`. */
export class Stage {
  readonly #response: Altered
  readonly #caller: NodeCaller
  readonly #staged: Staged
  readonly #emit: (event: string, ...values: unknown[]) => boolean
  #real = 0
  #over = false
  #closeHeld = false

  constructor(request: IncomingMessage, response: ServerResponse, caller: NodeCaller, staged: Staged) {
    this.#response = response as Altered
    this.#caller = caller
    this.#staged = staged
    this.#emit = response.emit.bind(response)
    caller.lend((run) => this.through(run), doorOf(response))
    this.#alterState(request)
    // A response that waited for its turn on the connection is written out in here.
    const assign = response.assignSocket
    response.assignSocket = (socket) => this.through(() => assign.call(response, socket))
    response.emit = (event: string, ...values: unknown[]) => this.#heard(event, values)
  }

  get isOver(): boolean {
    return this.#over
  }

  /** The exchange has ended: what happens to the response from now on is real, a hang-up that was held back first. */
  finish(): void {
    if (this.#over) return
    this.#over = true
    if (this.#closeHeld) this.#emit('close')
  }

  /** Tells the handler that there is room again. */
  drain(): void {
    this.#emit('drain')
  }

  through<T>(run: () => T): T {
    this.#real += 1
    try {
      return run()
    } finally {
      this.#real -= 1
    }
  }

  /** Puts another method in place of the response's for the handler's side. */
  method(name: string, captured: (...values: unknown[]) => unknown): void {
    const response = this.#response
    const original = response[name] as ((...values: unknown[]) => unknown) | undefined
    if (original === undefined) return
    // Once it is over, only an answer that was never begun may still be made.
    const isReal = (): boolean => this.#real > 0 || (this.#over && !this.#staged.ended && !this.#staged.broken)
    response[name as 'write'] = ((...values: unknown[]) =>
      isReal() ? original.apply(response, values) : captured(...values)) as never
  }

  /** Does the one who looks now see the real state? Once both have begun, what wraps the response outside us goes on alone. */
  get #seesReal(): boolean {
    return this.#real > 0 || this.#over || (this.#staged.ended && this.through(() => this.#response.headersSent))
  }

  #alterState(request: IncomingMessage): void {
    const response = this.#response
    this.#property(response, '_header', () => (this.#staged.headSent ? 'captured' : null))
    this.#property(response, 'finished', () => this.#staged.ended)
    this.#property(response, 'destroyed', () => this.#staged.broken)
    this.#property(response, '_closed', () => false)
    // Node destroys the request of a client that hangs up, and with it a body that its handler has not read yet.
    const destroy = request.destroy
    request.destroy = (error?: NodeJS.ErrnoException) =>
      error?.code === 'ECONNRESET' && !this.#over ? request : destroy.call(request, error)
    const standIn = stagedSocket(request.socket, {
      destroy: (cause) => this.#staged.fail(cause),
      isOver: () => this.#over,
    })
    this.#property(response, 'socket', () => standIn)
    this.#property(request, 'socket', () => standIn)
    // The package on-finished keeps its listeners here. Those from before watch the real socket; Koa's body stream and
    // "send" must not join them, or they would give up when the client does.
    let listeners: unknown
    const set = (next: unknown): void => {
      listeners = next
    }
    Object.defineProperty(response, '__onFinished', { configurable: true, get: () => listeners, set })
    const prototype = Object.getPrototypeOf(response) as object
    const written = (): boolean => this.through(() => Reflect.get(prototype, 'writableFinished', response) === true)
    Object.defineProperty(response, 'writableFinished', { configurable: true, get: written })
    const wantsDrain = (): boolean => !this.#seesReal && this.#staged.wantsDrain
    Object.defineProperty(response, 'writableNeedDrain', { configurable: true, get: wantsDrain })
  }

  #property(holder: object, name: string, staged: () => unknown): void {
    let value: unknown = Reflect.get(holder, name)
    // What is a plain property in one release of Node is an accessor of the prototype in the next (`socket`, since 22).
    const prototype = Object.getPrototypeOf(holder) as object
    const inherits = !Object.hasOwn(holder, name) && name in prototype
    Object.defineProperty(holder, name, {
      configurable: true,
      enumerable: true,
      get: () => (this.#seesReal ? (inherits ? Reflect.get(prototype, name, holder) : value) : staged()),
      set: (next: unknown) => {
        if (inherits) Reflect.set(prototype, name, next, holder)
        else value = next
      },
    })
  }

  #heard(event: string, values: unknown[]): boolean {
    if (this.#over) return this.#emit(event, ...values)
    if (event === 'drain') {
      this.#caller.drained()
      return true
    }
    if (event !== 'close') return this.#emit(event, ...values)
    this.#caller.closed()
    // Whether its end was sent or it has gone: the handler hears of it when the exchange has ended.
    if (this.#over) return this.#emit(event, ...values)
    this.#closeHeld = true
    return true
  }
}

/** The methods of now: what the handler's side wraps around the response later is not for the real answer. */
function doorOf(response: ServerResponse): ResponseDoor {
  return {
    writeHead: response.writeHead.bind(response),
    write: response.write.bind(response),
    end: response.end.bind(response),
    flushHeaders: response.flushHeaders.bind(response),
    addTrailers: response.addTrailers.bind(response),
    destroy: response.destroy.bind(response),
    appendHeader: response.appendHeader.bind(response),
    removeHeader: response.removeHeader.bind(response),
  }
}
