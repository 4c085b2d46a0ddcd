/** An answer taken in whole, whoever gives it. */
import {
  fieldValue,
  type HttpCaller,
  nodeCodings,
  type RawHeaders,
  type UpstreamEvents,
  type UpstreamFailure,
} from 'oncekey/http'
import type { Answer } from './ask.ts'

/** Takes an answer in whole. Is both ends of a call: what an upstream tells, and the caller of an exchange. */
export class Collected implements HttpCaller, UpstreamEvents {
  onDrain: (() => void) | undefined
  readonly hasLeft = false
  readonly answered: Promise<Answer>
  readonly #chunks: Uint8Array[] = []
  #head: { readonly status: number; readonly headers: RawHeaders } | undefined
  #resolve: (answer: Answer) => void = () => undefined

  constructor() {
    this.answered = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  get started(): boolean {
    return this.#head !== undefined
  }

  onLeave(): () => void {
    return () => undefined
  }

  answer(status: number, headers: RawHeaders, body: Uint8Array): void {
    this.start(status, headers)
    this.write(body)
    this.end()
  }

  start(status: number, headers: RawHeaders): void {
    this.#head = { status, headers }
  }

  write(bytes: Uint8Array): boolean {
    this.#chunks.push(bytes)
    return true
  }

  end(): void {
    const { status, headers } = this.#head ?? { status: 0, headers: [] }
    this.#resolve({ kind: 'whole', status, headers, body: decoded(headers, Buffer.concat(this.#chunks)) })
  }

  cut(): void {
    this.#resolve({ kind: 'broken', headers: this.#head?.headers })
  }

  head(status: number, headers: RawHeaders): void {
    this.start(status, headers)
  }

  data(bytes: Uint8Array): void {
    this.write(bytes)
  }

  fail(_failure: UpstreamFailure): void {
    this.cut()
  }
}

/** An answer decoded holds this much at most. */
const maxDecodedBytes = 256 * 1024 * 1024

/** Nobody asked for a content coding; a provider that uses one all the same is understood. */
function decoded(headers: RawHeaders, body: Buffer): Buffer {
  const coding = fieldValue(headers, 'content-encoding')?.toLowerCase()
  if (coding === undefined || coding === 'identity') return body
  return Buffer.from(nodeCodings.decode(coding, body, maxDecodedBytes) ?? body)
}
