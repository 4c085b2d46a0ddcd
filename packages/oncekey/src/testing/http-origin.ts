/** What stands behind the layer under test: a handler that a case scripts, given to servers of either kind. */
import { concat } from './subject.ts'

/** One execution, as the handler sees it. */
export interface OriginCall {
  /** Which execution of this server it is, from 1. */
  readonly number: number
  readonly method: string
  /** Path and query as the handler got them. */
  readonly target: string
  header(name: string): string | undefined
  readonly body: Uint8Array
}

/** How the handler answers. `head` first; a handler that throws before it has not answered. */
export interface OriginAnswer {
  head(status: number, headers?: Readonly<Record<string, string | readonly string[]>>): void
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array | string): Promise<void>
  /** Without `write` before it, the body goes out in one piece. */
  end(bytes?: Uint8Array | string): void
}

/** A scripted handler. What it throws is for the server that runs it. */
export type Origin = (call: OriginCall, answer: OriginAnswer) => Promise<void> | void

/** The part of an IncomingMessage that a bridge reads. */
export interface OriginMessage extends AsyncIterable<Uint8Array> {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** The part of a ServerResponse that a bridge writes to. */
export interface OriginResponse {
  writeHead(status: number, headers: Record<string, string | string[]>): unknown
  write(bytes: Uint8Array | string): boolean
  end(bytes?: Uint8Array | string): unknown
  once(event: 'drain', heard: () => void): unknown
}

/** The origin as a handler of node:http and whatever is built on it. */
export function nodeOrigin(origin: Origin): (request: OriginMessage, response: OriginResponse) => Promise<void> {
  let executions = 0
  return async (request, response) => {
    const number = ++executions
    const pieces: Uint8Array[] = []
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined)
      for await (const piece of request) pieces.push(piece)
    const { method = '', url: target = '', headers } = request
    const header = (name: string): string | undefined => [headers[name]].flat().join(', ') || undefined
    const answer: OriginAnswer = {
      head: (status, given = {}) => void response.writeHead(status, mutable(given)),
      write: async (bytes) => {
        if (!response.write(bytes)) await new Promise<void>((resolve) => response.once('drain', resolve))
      },
      end: (bytes) => void response.end(bytes),
    }
    await origin({ number, method, target, header, body: concat(pieces) }, answer)
  }
}

/** The origin as a fetch handler. */
export function fetchOrigin(origin: Origin): (request: Request) => Promise<Response> {
  let executions = 0
  return async (request) => {
    const number = ++executions
    const body = new Uint8Array(await request.arrayBuffer())
    const { pathname, search } = new URL(request.url)
    const call: OriginCall = {
      number,
      method: request.method,
      target: `${pathname}${search}`,
      header: (name) => request.headers.get(name) ?? undefined,
      body,
    }
    return new Promise((resolve, reject) => {
      const answer = new ResponseAnswer(resolve)
      Promise.resolve(origin(call, answer)).catch((error: unknown) => {
        if (!answer.fail(error)) reject(error)
      })
    })
  }
}

class ResponseAnswer implements OriginAnswer {
  readonly #resolve: (response: Response) => void
  #status = 0
  readonly #headers = new Headers()
  #body: ReadableStreamDefaultController<Uint8Array> | undefined
  #room: (() => void) | undefined

  constructor(resolve: (response: Response) => void) {
    this.#resolve = resolve
  }

  head(status: number, headers: Readonly<Record<string, string | readonly string[]>> = {}): void {
    this.#status = status
    for (const [name, values] of Object.entries(headers)) {
      for (const value of [values].flat()) this.#headers.append(name, value)
    }
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.#body === undefined) this.#respond(this.#stream())
    this.#body?.enqueue(octets(bytes))
    if ((this.#body?.desiredSize ?? 1) > 0) return
    await new Promise<void>((resolve) => {
      this.#room = resolve
    })
  }

  end(bytes?: Uint8Array | string): void {
    if (this.#body === undefined) {
      const hasBody = bytes !== undefined && this.#status !== 204 && this.#status !== 304
      return this.#respond(hasBody ? (octets(bytes) as Uint8Array<ArrayBuffer>) : null)
    }
    if (bytes !== undefined) this.#body.enqueue(octets(bytes))
    this.#body.close()
  }

  /** False where nothing was answered that could break off. */
  fail(error: unknown): boolean {
    this.#body?.error(error)
    return this.#body !== undefined
  }

  #stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller
      },
      pull: () => {
        this.#room?.()
        this.#room = undefined
      },
    })
  }

  #respond(body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null): void {
    this.#resolve(new Response(body, { status: this.#status, headers: this.#headers }))
  }
}

function mutable(headers: Readonly<Record<string, string | readonly string[]>>): Record<string, string | string[]> {
  const list = Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : [...value]])
  return Object.fromEntries(list) as Record<string, string | string[]>
}

/** Text as UTF-8. */
export function octets(bytes: Uint8Array | string): Uint8Array {
  return typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes
}
