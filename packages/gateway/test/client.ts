/** Clients that see exactly what comes over the wire: bytes, ends and cuts. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'

/** What a request is made of; headers are a raw list, so that names may come twice. */
export interface Sent {
  readonly method?: string
  readonly path?: string
  readonly headers?: readonly string[]
  readonly body?: string | Uint8Array
  readonly key?: string
  /** The value of Authorization; null sends none. */
  readonly as?: string | null
}

/** A request's answer while it comes. */
export class Answering {
  readonly request: ClientRequest
  /** Resolves with the head, rejects when the connection ends before it. */
  readonly head: Promise<IncomingMessage>
  /** Resolves when the answer has ended, `complete` or cut; also when there never was one. */
  readonly ended: Promise<{ readonly complete: boolean; readonly error: Error | undefined }>
  readonly #chunks: Buffer[] = []
  #response: IncomingMessage | undefined

  constructor(port: number, sent: Sent) {
    const { body = '', method = 'POST', path = '/v1/things', key, as = 'Bearer alice' } = sent
    const headers = ['Host', `127.0.0.1:${port}`, ...(sent.headers ?? [])]
    if (key !== undefined) headers.push('Idempotency-Key', key)
    if (as !== null) headers.push('Authorization', as)
    const length = Buffer.byteLength(body)
    const sized = headers.some((name, at) => at % 2 === 0 && /^(?:content-length|transfer-encoding)$/i.test(name))
    if (!sized && (length > 0 || /^(?:POST|PATCH|PUT)$/.test(method))) headers.push('Content-Length', String(length))
    const options = {
      host: '127.0.0.1',
      port,
      method,
      path,
      agent: false,
      headers: headers as never,
      maxHeaderSize: 128 * 1024,
    }
    this.request = httpRequest(options)
    this.head = new Promise((resolve, reject) => {
      this.request.on('response', resolve)
      this.request.on('error', reject)
    })
    this.head.catch(() => undefined)
    this.ended = new Promise((resolve) => {
      let error: Error | undefined
      this.request.on('error', (reason) => {
        error = reason
        if (this.#response === undefined) resolve({ complete: false, error })
      })
      this.request.on('response', (response) => {
        this.#response = response
        response.on('data', (bytes: Buffer) => {
          this.#chunks.push(bytes)
        })
        response.on('error', (reason) => {
          error = reason
        })
        response.on('close', () => resolve({ complete: response.complete, error }))
      })
    })
    if (length > 0) this.request.end(body)
    else this.request.end()
  }

  /** What has come so far. */
  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks.splice(0, this.#chunks.length, Buffer.concat(this.#chunks))
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  get text(): string {
    return this.bytes.toString()
  }

  /** Waits until the answer so far holds this text. */
  has(text: string): Promise<void> {
    return until(() => this.text.includes(text))
  }

  hangUp(): void {
    this.request.destroy()
  }
}

export function open(gateway: { readonly port: number }, sent: Sent): Answering {
  return new Answering(gateway.port, sent)
}

/** An answer that has ended. */
export interface Answer {
  readonly status: number
  /** A header's value by any spelling; lines of one name joined by a comma. */
  header(name: string): string | undefined
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  readonly text: string
  readonly json: Record<string, unknown>
  readonly trailers: readonly string[]
  /** False when the connection broke before the end that its framing promised. */
  readonly complete: boolean
  /** `Idempotency-Status` */
  readonly how: string | undefined
}

export async function send(gateway: { readonly port: number }, sent: Sent): Promise<Answer> {
  return answerOf(open(gateway, sent))
}

/** The whole answer; rejects when the connection ended without a head. */
export async function answerOf(answering: Answering): Promise<Answer> {
  const head = await answering.head
  const { complete } = await answering.ended
  const header = (name: string): string | undefined => {
    const values = head.rawHeaders.filter((_, at) => at % 2 === 1 && sameName(head.rawHeaders[at - 1], name))
    return values.length === 0 ? undefined : values.join(', ')
  }
  return {
    status: head.statusCode ?? 0,
    header,
    rawHeaders: head.rawHeaders,
    body: answering.bytes,
    text: answering.text,
    get json() {
      return JSON.parse(answering.text) as Record<string, unknown>
    },
    trailers: head.rawTrailers,
    complete,
    how: header('idempotency-status'),
  }
}

function sameName(found: string | undefined, wanted: string): boolean {
  return found?.toLowerCase() === wanted.toLowerCase()
}

/** A client of bytes. */
export class RawClient {
  readonly socket: Socket
  received: Buffer = Buffer.alloc(0)
  /** `FIN` for a clean end, `RST` or another code for a broken one. */
  readonly closed: Promise<string>

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    let how = 'FIN'
    this.socket.on('data', (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes])
    })
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      how = error.code === 'ECONNRESET' ? 'RST' : (error.code ?? 'error')
    })
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve(how)))
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  write(text: string): void {
    this.socket.write(text, 'latin1')
  }

  has(text: string): Promise<void> {
    return until(() => this.text.includes(text))
  }
}

/** Sends bytes and resolves when the gateway has closed the connection. */
export async function exchangeRaw(gateway: { readonly port: number }, bytes: string): Promise<string> {
  const client = new RawClient(gateway.port)
  client.write(bytes)
  await client.closed
  return client.text
}

/** Polls until a condition holds; the rejection says which one did not. */
export async function until(condition: () => boolean, withinMs = 10_000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`did not come true within ${withinMs} ms: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
}

let keys = 0
/** A key nobody has used in this process. */
export function freshKey(): string {
  keys += 1
  return `key-${process.pid}-${keys}`
}
