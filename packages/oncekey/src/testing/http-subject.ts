/** A server under test, and a client that notices everything. */
import { holds, same } from './expect.ts'
import { type OriginAnswer, type OriginCall, octets } from './http-origin.ts'
import { concat } from './subject.ts'

/** What a case wants of the server; what is left out is the contract's default. */
export interface WantedOptions {
  readonly onAbandoned: 'unknown' | 'reexecute'
  readonly requireKey?: boolean
  readonly mismatch?: 'split'
  readonly methods?: readonly string[]
  readonly onDisconnect?: 'abort'
  readonly maxBodyBytes?: number
  readonly maxOutcomeBytes?: number
  readonly waitMs?: number
  /** The tenant is what the app has authenticated: here the header `x-user`, in place of credentials. */
  readonly tenantHeader?: 'x-user'
}

/** A server with the origin behind the layer. */
export interface OpenedServer {
  /** Without a slash at its end. */
  readonly url: string
  close(): Promise<void>
}

/** A server in a process of its own, over a store that survives it; lease and margin are 500 ms and 200 ms. */
export interface CrashingServer extends OpenedServer {
  /**
   * How often its handler has begun. It never answers the first time; later it answers 200 with `{"execution":N}`.
   */
  executions(): number | Promise<number>
  /** As `kill -9`. */
  kill(): Promise<void>
  /** Once more over the same store; the url may be another one. */
  restart(): Promise<CrashingServer>
}

/** A request of a case: POST of a JSON object to /things by one principal, unless it says otherwise. */
export interface Sent {
  readonly key?: string
  readonly method?: string
  readonly path?: string
  readonly body?: Uint8Array | string | null
  readonly type?: string
  /** Who asks: the credential. `null`: nobody. */
  readonly as?: string | null
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** An answer that was read to its end, or until it broke off. */
export interface Got {
  readonly status: number
  header(name: string): string | null
  readonly bytes: Uint8Array
  readonly text: string
  /** Did the connection break before the end? */
  readonly cut: boolean
}

/** An answer on its way. */
export interface Opened {
  readonly status: number
  header(name: string): string | null
  /** More of the body until it holds the text; throws when it has ended or broken off before. */
  until(text: string): Promise<string>
  /** To its end. */
  rest(): Promise<Got>
  /** Hangs up. */
  leave(): void
}

/** What a case works with. */
export class HttpSubject {
  url = ''
  /** How often the origin was executed. */
  executions = 0
  /** Closed; an origin that waits for it goes on when the case opens it. */
  readonly door: Gate = gate()

  /** The same, once its server is there. */
  at(url: string): this {
    this.url = url
    return this
  }

  async open(sent: Sent = {}): Promise<Opened> {
    const { method = 'POST', path = '/things', body = '{"amount":1}', type = 'application/json', as = 'alice' } = sent
    const hangUp = new AbortController()
    const given = sent.signal === undefined ? hangUp.signal : AbortSignal.any([hangUp.signal, sent.signal])
    const hasBody = body !== null && method !== 'GET' && method !== 'HEAD'
    const response = await fetch(`${this.url}${path}`, {
      method,
      redirect: 'manual',
      signal: given,
      headers: {
        ...(hasBody && type !== '' ? { 'Content-Type': type } : {}),
        ...(as === null ? {} : { Authorization: `Bearer ${as}` }),
        ...(sent.key === undefined ? {} : { 'Idempotency-Key': sent.key }),
        ...sent.headers,
      },
      ...(hasBody ? { body: octets(body) as Uint8Array<ArrayBuffer> } : {}),
    })
    return new Reading(response, hangUp)
  }

  async send(sent: Sent = {}): Promise<Got> {
    return (await this.open(sent)).rest()
  }

  /** As `send`, for an answer that is waited for later, if the case comes to that. */
  begin(sent: Sent = {}): Promise<Got> {
    const sending = this.send(sent)
    sending.catch(() => undefined)
    return sending
  }

  /** The same request again must get the recorded answer, byte for byte. */
  async replays(sent: Sent, first: Got): Promise<Got> {
    const again = await this.send(sent)
    same(again.header('idempotency-status'), 'replayed', 'how the second answer came about')
    same(again.header('idempotent-replayed'), 'true', 'the mark of a replay')
    same(again.status, first.status, 'the status of the replay')
    same(again.bytes, first.bytes, 'the body of the replay')
    return again
  }

  /** An answer of the layer itself. */
  refused(got: Got, status: number, code: string, shouldRetry: boolean): void {
    same([got.status, got.header('idempotency-status')], [status, 'refused'], `the refusal with ${code}`)
    same(got.header('content-type'), 'application/problem+json', 'the type of a refusal')
    same(got.header('x-should-retry'), String(shouldRetry), 'whether to retry')
    const problem = JSON.parse(got.text) as { code: string; status: number; error: { code: string } }
    same([problem.code, problem.status, problem.error.code], [code, status, code], 'the problem document')
  }

  executed(times: number): void {
    same(this.executions, times, 'executions')
  }

  /** Resolves once the origin runs. */
  async running(): Promise<void> {
    while (this.executions === 0) await pause(5)
  }
}

class Reading implements Opened {
  readonly #response: Response
  readonly #hangUp: AbortController
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  readonly #pieces: Uint8Array[] = []
  #ended = false
  #cut = false

  constructor(response: Response, hangUp: AbortController) {
    this.#response = response
    this.#hangUp = hangUp
    this.#reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined
  }

  get status(): number {
    return this.#response.status
  }

  header(name: string): string | null {
    return this.#response.headers.get(name)
  }

  async until(text: string): Promise<string> {
    for (;;) {
      const so = this.#text
      if (so.includes(text)) return so
      holds(!this.#ended && !this.#cut, `"${text}" comes, where ${JSON.stringify(so)} was all`)
      await this.#more()
    }
  }

  async rest(): Promise<Got> {
    while (!this.#ended && !this.#cut) await this.#more()
    const bytes = concat(this.#pieces)
    const header = (name: string): string | null => this.header(name)
    return { status: this.status, header, bytes, text: this.#text, cut: this.#cut }
  }

  leave(): void {
    this.#hangUp.abort()
  }

  get #text(): string {
    return new TextDecoder().decode(concat(this.#pieces))
  }

  async #more(): Promise<void> {
    try {
      const read = await this.#reader?.read()
      if (read === undefined || read.done) this.#ended = true
      else this.#pieces.push(read.value)
    } catch {
      this.#cut = true
    }
  }
}

/** An origin that may wait for its case. */
export type ScriptedOrigin = (call: OriginCall, answer: OriginAnswer, door: Gate) => Promise<void> | void

/** Real time, for what happens on real connections. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** A case of the contract. */
export interface HttpCase {
  readonly name: string
  readonly options?: Partial<WantedOptions>
  /** Default: 201 with a JSON object that says which execution it is. */
  readonly origin?: ScriptedOrigin
  run(subject: HttpSubject): Promise<void>
}

/** A door that a case opens. */
interface Gate {
  readonly passed: Promise<void>
  open(): void
}

/** A door that is closed at first. */
function gate(): Gate {
  let open = (): void => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open: () => open() }
}
