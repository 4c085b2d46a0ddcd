/** A client that sees what comes over the wire: which bytes, when, and whether the answer ended or was cut. */
import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { until } from '../e2e/harness.ts'

/** One chat completion. */
export interface Ask {
  readonly key?: string
  /** Default: the key, so that the ledger can tell whose call it was. */
  readonly marker?: string
  readonly prompt?: string
  readonly stream?: boolean
  /** Words of the pretend provider; no part of what makes a request the same. */
  readonly behave?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What a caller has in the end. */
export interface Heard {
  /** 0 when the connection ended without a head. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** `Idempotency-Status` */
  readonly how: string | undefined
  readonly bytes: Buffer
  readonly text: string
  /** The answer's own framing says that nothing is missing. */
  readonly whole: boolean
  /** The code of a problem document. */
  readonly code: string | undefined
}

/** One call while it goes on. */
export class Call {
  /** When the answer had grown to which length, `performance.now()`. */
  readonly marks: { readonly atMs: number; readonly length: number }[] = []
  /** Resolves at the end, however it came; never rejects. */
  readonly heard: Promise<Heard>
  status = 0
  over = false
  readonly #request: ClientRequest
  readonly #chunks: Buffer[] = []
  #length = 0

  constructor(gateway: { readonly port: number }, ask: Ask) {
    const { key, marker = key, prompt = 'hello', stream, behave } = ask
    const body = JSON.stringify({
      model: 'pretend-1',
      messages: [{ role: 'user', content: prompt }],
      ...(stream === true ? { stream } : {}),
    })
    this.#request = httpRequest({
      host: '127.0.0.1',
      port: gateway.port,
      method: 'POST',
      path: '/v1/chat/completions',
      agent: false,
      headers: {
        Authorization: 'Bearer sk-test',
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
        ...(key === undefined ? {} : { 'Idempotency-Key': key }),
        ...(marker === undefined ? {} : { 'x-sandbox-marker': marker }),
        ...(behave === undefined ? {} : { 'x-sandbox': behave }),
        ...ask.headers,
      },
    })
    this.heard = this.#listen()
    this.#request.end(body)
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString()
  }

  /** Waits until the answer so far holds this text. */
  async has(text: string): Promise<void> {
    await until(() => this.text.includes(text) || this.over, `an answer holds "${text}"`)
    if (!this.text.includes(text)) throw new Error(`The answer ended without "${text}": ${this.text.slice(0, 300)}`)
  }

  hangUp(): void {
    this.#request.destroy()
  }

  /** Takes nothing of the answer but its head. */
  pause(): void {
    this.#request.once('response', (response) => response.pause())
  }

  #listen(): Promise<Heard> {
    return new Promise((resolve) => {
      const end = (headers: IncomingHttpHeaders, whole: boolean): void => {
        this.over = true
        const bytes = Buffer.concat(this.#chunks)
        const problem = headers['content-type'] === 'application/problem+json' && whole
        resolve({
          status: this.status,
          headers,
          how: headers['idempotency-status'] as string | undefined,
          bytes,
          text: bytes.toString(),
          whole,
          code: problem ? (JSON.parse(bytes.toString()) as { code: string }).code : undefined,
        })
      }
      this.#request.on('error', () => this.status === 0 && end({}, false))
      this.#request.on('response', (response) => {
        this.status = response.statusCode ?? 0
        response.on('data', (bytes: Buffer) => {
          this.#chunks.push(bytes)
          this.#length += bytes.length
          this.marks.push({ atMs: performance.now(), length: this.#length })
        })
        response.on('error', () => undefined)
        response.on('close', () => end(response.headers, response.complete))
      })
    })
  }
}

/** Starts a call. */
export function open(gateway: { readonly port: number }, ask: Ask): Call {
  return new Call(gateway, ask)
}

/** Makes a call and waits for its end. */
export function send(gateway: { readonly port: number }, ask: Ask): Promise<Heard> {
  return open(gateway, ask).heard
}

/** The same request many times at once, in turn over the gateways. */
export function storm(gateways: readonly { readonly port: number }[], count: number, ask: Ask): Promise<Heard[]> {
  return Promise.all(
    Array.from({ length: count }, (_, at) => send(gateways[at % gateways.length] as { port: number }, ask)),
  )
}

/** How many different bodies there are among whole answers of status 200. */
export function differentBodies(heard: readonly Heard[]): number {
  return new Set(heard.filter(({ status, whole }) => status === 200 && whole).map(({ text }) => text)).size
}

/** Calls again, as a client would, until the connection holds and nobody says "still running". */
export async function insist(gateway: { readonly port: number }, ask: Ask, withinMs = 10_000): Promise<Heard> {
  const endMs = performance.now() + withinMs
  for (;;) {
    const heard = await send(gateway, ask)
    if (heard.whole && heard.code !== 'in_progress') return heard
    if (performance.now() > endMs) throw new Error(`No whole answer within ${withinMs} ms, last: ${heard.status}`)
  }
}
