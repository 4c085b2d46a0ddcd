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
  return new Promise((resolve) => {
    let blocked = false
    let decoding = false
    let advancing = false
    let finished = false
    let idle: Timer | undefined
    let stalled: Timer | undefined
    const finish = (how: Pumped): void => {
      finished = true
      idle?.cancel()
      stalled?.cancel()
      stopListening()
      caller.onDrain = undefined
      reader.close()
      resolve(how)
    }
    const start = (): void => {
      if (!caller.started) options.start()
    }
    const cut = (): void => {
      if (!caller.started) return finish('unstarted')
      caller.cut()
      finish('cut')
    }
    const write = (bytes: Uint8Array): void => {
      start()
      blocked = bytes.length > 0 && !caller.write(bytes)
      if (blocked) {
        stalled ??= options.clock.setTimer(stalledMs, cut, true)
      }
    }
    const rest = (): void => {
      if (options.mayComment === undefined || idle !== undefined) return
      idle = options.clock.setTimer(commentEveryMs, () => {
        idle = undefined
        if (!blocked && !decoding && options.mayComment?.(reader.offset)) write(comment)
        rest()
      })
    }
    const take = (): void => {
      while (!blocked && !decoding && !finished) {
        const bytes = reader.read()
        if (bytes === undefined) break
        idle?.cancel()
        idle = undefined
        options.observe?.(bytes)
        if (options.decoder === undefined) write(bytes)
        else decode(options.decoder, bytes)
      }
    }
    const advance = (): void => {
      // Reading may let the upstream go on, which may push and wake us before what was read is written.
      if (advancing || finished) return
      advancing = true
      take()
      advancing = false
      if (finished) return
      if (reader.state === 'cut') return cut()
      if (blocked || decoding) return
      if (reader.state !== 'ended') return rest()
      start()
      caller.end(options.trailers?.())
      finish('ended')
    }
    const decode = (decoder: StreamDecoder, bytes: Uint8Array): void => {
      decoding = true
      decoder.write(bytes, (decoded) => {
        decoding = false
        if (finished) return
        if (decoded === undefined) return cut()
        write(decoded)
        advance()
      })
    }
    const stopListening = caller.onLeave(() => finish('left'))
    caller.onDrain = () => {
      blocked = false
      stalled?.cancel()
      stalled = undefined
      advance()
    }
    reader.wake = advance
    if (options.eager) start()
    advance()
  })
}
