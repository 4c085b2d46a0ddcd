/** Brings a reader's bytes to a caller: back-pressure, keep-alive comments, and an end only where the record ends. */
import type { Clock, Timer } from '../core/clock.ts'
import type { StreamReader } from '../core/reader.ts'
import type { HttpCaller } from './caller.ts'
import type { RawHeaders } from './headers.ts'

/** A coding undone on the way to one caller; `write` calls back with what came out. */
export interface StreamDecoder {
  write(bytes: Uint8Array, done: (decoded: Uint8Array | undefined) => void): void
}

/** How a body reaches its caller. */
export interface PumpOptions {
  readonly clock: Clock
  /** Sends the head; called before the first byte, or at a clean end without one. */
  readonly start: () => void
  /** Is this a place where an SSE comment harms nobody? Undefined where comments are never sent. */
  readonly mayComment?: (delivered: number) => boolean
  /** Sees every byte that is delivered, before it is. */
  readonly observe?: (bytes: Uint8Array) => void
  readonly decoder?: StreamDecoder
  readonly trailers?: () => RawHeaders
  /** Send the head at once; else with the first byte or comment, so that one who is cut before it can begin anew. */
  readonly eager: boolean
}

/** How it went. `unstarted`: cut before anything was sent, so the request may begin again. */
export type Pumped = 'ended' | 'cut' | 'left' | 'unstarted'

/** A silent stream gets a comment this often; proxies in between cut after 30 to 60 s. */
const commentEveryMs = 15_000
/** A caller that takes nothing for this long is dropped. */
const stalledMs = 60_000
const comment = new TextEncoder().encode(': keep-alive\n\n')

/** Runs until the reader has ended or was cut, or the caller left. */
export function pump(reader: StreamReader, caller: HttpCaller, options: PumpOptions): Promise<Pumped> {
  return new Promise((resolve) => new Pump(reader, caller, options, resolve).run())
}

class Pump {
  readonly #reader: StreamReader
  readonly #caller: HttpCaller
  readonly #options: PumpOptions
  readonly #resolve: (how: Pumped) => void
  #blocked = false
  #decoding = false
  #advancing = false
  #finished = false
  #restedMs = 0
  #idle: Timer | undefined
  #stalled: Timer | undefined
  #stopListening: (() => void) | undefined

  constructor(reader: StreamReader, caller: HttpCaller, options: PumpOptions, resolve: (how: Pumped) => void) {
    this.#reader = reader
    this.#caller = caller
    this.#options = options
    this.#resolve = resolve
  }

  run(): void {
    this.#stopListening = this.#caller.onLeave(() => this.#finish('left'))
    if (this.#finished) return
    this.#caller.onDrain = () => {
      this.#blocked = false
      this.#stalled?.cancel()
      this.#stalled = undefined
      this.#advance()
    }
    this.#reader.wake = () => this.#advance()
    if (this.#options.eager) this.#start()
    this.#advance()
  }

  #advance(): void {
    // Reading may let the upstream go on, which may push and wake us before what was read is written.
    if (this.#advancing || this.#finished) return
    this.#advancing = true
    this.#take()
    this.#advancing = false
    if (this.#finished) return
    if (this.#reader.state === 'cut') return this.#cut()
    if (this.#blocked || this.#decoding) return
    if (this.#reader.state !== 'ended') return this.#rest()
    this.#start()
    this.#caller.end(this.#options.trailers?.())
    this.#finish('ended')
  }

  #take(): void {
    while (!this.#blocked && !this.#decoding && !this.#finished) {
      const bytes = this.#reader.read()
      if (bytes === undefined) return
      this.#options.observe?.(bytes)
      if (this.#options.decoder === undefined) this.#write(bytes)
      else this.#decode(this.#options.decoder, bytes)
    }
  }

  #decode(decoder: StreamDecoder, bytes: Uint8Array): void {
    this.#decoding = true
    decoder.write(bytes, (decoded) => {
      this.#decoding = false
      if (this.#finished) return
      if (decoded === undefined) return this.#cut()
      this.#write(decoded)
      this.#advance()
    })
  }

  #start(): void {
    if (!this.#caller.started) this.#options.start()
  }

  #write(bytes: Uint8Array): void {
    this.#start()
    this.#blocked = bytes.length > 0 && !this.#caller.write(bytes)
    if (this.#blocked) this.#stalled ??= this.#options.clock.setTimer(stalledMs, () => this.#cut(), true)
  }

  /** Nothing to deliver for now: a silent stream gets a comment now and then, where one harms nobody. */
  #rest(): void {
    const { clock, mayComment } = this.#options
    if (mayComment === undefined) return
    this.#restedMs = clock.monotonicMs()
    this.#idle ??= clock.setTimer(commentEveryMs, () => this.#comment(mayComment))
  }

  // One timer for a whole stream: set and taken back an event it would cost more than the event's own write.
  #comment(mayComment: (delivered: number) => boolean): void {
    this.#idle = undefined
    const { clock } = this.#options
    const leftMs = this.#restedMs + commentEveryMs - clock.monotonicMs()
    if (leftMs > 0) {
      this.#idle = clock.setTimer(leftMs, () => this.#comment(mayComment))
      return
    }
    if (!this.#blocked && !this.#decoding && mayComment(this.#reader.offset)) this.#write(comment)
    this.#rest()
  }

  #cut(): void {
    if (!this.#caller.started) return this.#finish('unstarted')
    this.#caller.cut()
    this.#finish('cut')
  }

  #finish(how: Pumped): void {
    if (this.#finished) return
    this.#finished = true
    this.#idle?.cancel()
    this.#stalled?.cancel()
    this.#stopListening?.()
    this.#caller.onDrain = undefined
    this.#reader.close()
    this.#resolve(how)
  }
}
