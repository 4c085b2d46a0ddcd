/** A handler's `Response` as the events of an upstream call. */
import type { UpstreamCall, UpstreamEvents } from './caller.ts'
import { fieldValue, type RawHeaders } from './headers.ts'

type Read = Awaited<ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']>>

/** One run of a handler. */
export class WebCall implements UpstreamCall {
  readonly #events: UpstreamEvents
  readonly #nextTurn: (run: () => void) => void
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #going: (() => void) | undefined
  #paused = false
  #over = false

  /** `run` is called at once. What it rejects with ends the call as `handler_failed`. */
  constructor(run: () => Promise<Response>, events: UpstreamEvents, nextTurn: (run: () => void) => void) {
    this.#events = events
    this.#nextTurn = nextTurn
    void this.#follow(run)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#going?.()
    this.#going = undefined
  }

  abort(): void {
    this.#over = true
    this.#reader?.cancel().catch(() => undefined)
    this.resume()
  }

  async #follow(run: () => Promise<Response>): Promise<void> {
    try {
      await this.#tell(await run())
    } catch (cause) {
      if (!this.#over) this.#events.fail({ code: 'handler_failed', sent: true, cause })
    }
  }

  async #tell(response: Response): Promise<void> {
    const headers = rawHeaders(response.headers)
    const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined
    if (reader === undefined) {
      this.#head(response.status, headers, 0)
      return this.#end()
    }
    this.#reader = reader
    const first = reader.read()
    const length = fieldValue(headers, 'content-length') === undefined ? undefined : -1
    const whole = length === undefined && !isEvents(headers) ? await this.#whole(reader, first) : undefined
    if (whole !== undefined && 'bytes' in whole) {
      this.#head(response.status, headers, whole.bytes.length)
      this.#data(whole.bytes)
      return this.#end()
    }
    this.#head(response.status, headers, length)
    for (const read of whole?.reads ?? [first]) {
      const { done, value } = await read
      if (done) return this.#end()
      this.#data(value)
    }
    for (;;) {
      if (this.#paused) {
        await new Promise<void>((resolve) => {
          this.#going = resolve
        })
      }
      const { done, value } = await reader.read()
      if (done) return this.#end()
      this.#data(value)
    }
  }

  /**
   * `new Response(text)` and `Response.json(value)` have a body of one piece and say no length: one that has ended a turn
   * after its first piece came is whole, and can be settled before it goes out.
   */
  async #whole(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    first: Promise<Read>,
  ): Promise<{ bytes: Uint8Array } | { reads: Promise<Read>[] }> {
    const turn = new Promise<undefined>((resolve) => this.#nextTurn(() => resolve(undefined)))
    const begun = await Promise.race([first, turn])
    if (begun === undefined) return { reads: [first] }
    if (begun.done) return { bytes: new Uint8Array(0) }
    const second = reader.read()
    const later = new Promise<undefined>((resolve) => this.#nextTurn(() => resolve(undefined)))
    const ended = await Promise.race([second, later])
    return ended?.done === true ? { bytes: begun.value } : { reads: [first, second] }
  }

  /** `length`: undefined where nobody knows it, -1 where the headers say it. */
  #head(status: number, headers: string[], length: number | undefined): void {
    if (this.#over) return
    // The end of a body stream is known, as that of a chunked one.
    if (length === undefined) headers.push('transfer-encoding', 'chunked')
    else if (length >= 0 && fieldValue(headers, 'content-length') === undefined)
      headers.push('Content-Length', String(length))
    this.#events.head(status, headers)
  }

  #data(bytes: Uint8Array): void {
    if (!this.#over && bytes.length > 0) this.#events.data(bytes)
  }

  #end(): void {
    if (!this.#over) this.#events.end([])
  }
}

/** The headers of a `Request` or `Response` as a flat list; each cookie in a field of its own. */
export function rawHeaders(headers: Headers): string[] {
  const raw: string[] = []
  for (const [name, value] of headers) if (name !== 'set-cookie') raw.push(name, value)
  for (const cookie of headers.getSetCookie()) raw.push('set-cookie', cookie)
  return raw
}

function isEvents(headers: RawHeaders): boolean {
  return /^\s*text\/event-stream\b/i.test(fieldValue(headers, 'content-type') ?? '')
}
