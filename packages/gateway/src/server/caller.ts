/** The caller behind node:http: writes with back-pressure, notices a hang-up, and is cut by destroying the socket. */
import type { ServerResponse } from 'node:http'
import { fieldNames, type HttpCaller, type RawHeaders } from 'oncekey/http'

/** One caller of the gateway. */
export class NodeCaller implements HttpCaller {
  onDrain: (() => void) | undefined
  /** The `Idempotency-Status` that was sent, for the log. */
  how = ''
  readonly #response: ServerResponse
  readonly #leaving = new Set<() => void>()
  #left = false
  #draining = false

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('close', () => {
      if (response.writableFinished) return
      this.#left = true
      for (const left of [...this.#leaving]) left()
      this.#leaving.clear()
    })
    response.on('error', () => undefined)
  }

  get hasLeft(): boolean {
    return this.#left
  }

  get started(): boolean {
    return this.#response.headersSent
  }

  onLeave(left: () => void): () => void {
    if (this.#left) left()
    else this.#leaving.add(left)
    return () => this.#leaving.delete(left)
  }

  answer(status: number, headers: RawHeaders, body: Uint8Array): void {
    if (this.#response.destroyed) return
    this.#head(status, headers)
    this.#response.end(body)
  }

  start(status: number, headers: RawHeaders): void {
    if (this.#response.destroyed) return
    this.#head(status, headers)
    // The head of a silent stream must not wait for its first byte.
    this.#response.flushHeaders()
  }

  #head(status: number, headers: RawHeaders): void {
    this.how = headers[headers.lastIndexOf(fieldNames.status) + 1] ?? ''
    this.#response.writeHead(status, headers as string[])
  }

  write(bytes: Uint8Array): boolean {
    if (this.#response.destroyed) return true
    const room = this.#response.write(bytes)
    if (!room && !this.#draining) {
      this.#draining = true
      this.#response.on('drain', () => this.onDrain?.())
    }
    return room
  }

  end(trailers?: RawHeaders): void {
    if (this.#response.destroyed) return
    for (let at = 0; trailers !== undefined && at + 1 < trailers.length; at += 2) {
      this.#response.addTrailers([[trailers[at] as string, trailers[at + 1] as string]])
    }
    this.#response.end()
  }

  cut(): void {
    this.#response.destroy()
  }
}
