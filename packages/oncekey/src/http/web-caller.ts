/** The caller who is owed a `Response`: a body with back-pressure, and an error in it where the answer must be cut. */
import type { HttpCaller } from './caller.ts'
import type { RawHeaders } from './headers.ts'

const bodyless: ReadonlySet<number> = new Set([204, 205, 304])

/** One caller. */
export class WebCaller implements HttpCaller {
  onDrain: (() => void) | undefined
  /** Resolves with the head; its body may go on. */
  readonly response: Promise<Response>
  readonly #leaving = new Set<() => void>()
  #respond: (response: Response) => void = () => undefined
  #body: ReadableStreamDefaultController<Uint8Array> | undefined
  #started = false
  #ended = false
  #left = false

  constructor(signal: AbortSignal | undefined) {
    this.response = new Promise((resolve) => {
      this.#respond = resolve
    })
    if (signal?.aborted) this.#left = true
    else signal?.addEventListener('abort', () => this.#leave(), { once: true })
  }

  get hasLeft(): boolean {
    return this.#left
  }

  get started(): boolean {
    return this.#started
  }

  onLeave(left: () => void): () => void {
    if (this.#left) left()
    else this.#leaving.add(left)
    return () => this.#leaving.delete(left)
  }

  answer(status: number, headers: RawHeaders, body: Uint8Array): void {
    this.#started = true
    this.#ended = true
    const content = bodyless.has(status) ? null : body
    this.#respond(new Response(content as Uint8Array<ArrayBuffer> | null, { status, headers: pairs(headers) }))
  }

  start(status: number, headers: RawHeaders): void {
    this.#started = true
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#body = controller
        },
        pull: () => this.onDrain?.(),
        cancel: () => this.#leave(),
      },
      { highWaterMark: windowBytes, size: (bytes) => bytes?.byteLength ?? 0 },
    )
    this.#respond(new Response(bodyless.has(status) ? null : body, { status, headers: pairs(headers) }))
  }

  write(bytes: Uint8Array): boolean {
    if (this.#left || this.#ended) return true
    this.#body?.enqueue(bytes)
    return (this.#body?.desiredSize ?? 1) > 0
  }

  /** Trailers have no place in a `Response`. */
  end(): void {
    if (this.#left || this.#ended) return
    this.#ended = true
    this.#body?.close()
  }

  cut(): void {
    if (this.#left || this.#ended) return
    this.#ended = true
    this.#body?.error(brokenOff())
    this.#leave()
  }

  #leave(): void {
    if (this.#left) return
    this.#left = true
    for (const left of [...this.#leaving]) left()
    this.#leaving.clear()
  }
}

/** Servers print it as it is, and where in here it was made helps nobody. */
function brokenOff(): Error {
  const error = new Error('oncekey: the answer broke off and the connection is cut; a retry with the same key is safe')
  error.stack = error.message
  return error
}

/** What a runtime that is slow to take the body makes us hold, as Node's own streams do. */
const windowBytes = 65_536

function pairs(headers: RawHeaders): [string, string][] {
  const list: [string, string][] = []
  for (let at = 0; at + 1 < headers.length; at += 2) list.push([headers[at] as string, headers[at + 1] as string])
  return list
}
