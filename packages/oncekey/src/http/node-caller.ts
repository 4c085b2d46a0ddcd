/** The caller behind a ServerResponse: writes with back-pressure, notices a hang-up, is cut by destroying the socket. */
import type { ServerResponse } from 'node:http'
import type { HttpCaller } from './caller.ts'
import type { RawHeaders } from './headers.ts'

/** One caller. What it does to the response is real, also while a handler's own doing is captured. */
export class NodeCaller implements HttpCaller {
  onDrain: (() => void) | undefined
  readonly #response: ServerResponse
  readonly #closed = (): void => this.closed()
  readonly #drained = (): void => this.drained()
  readonly #leaving = new Set<() => void>()
  #left = false
  #written = false

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('close', this.#closed)
    response.on('drain', this.#drained)
    response.on('error', () => undefined)
  }

  /** Runs what is meant for the real response. */
  through: <T>(run: () => T) => T = (run) => run()

  /** A capture has taken the response over: it lends its way to the real one, and tells what happens there. */
  lend(through: <T>(run: () => T) => T): void {
    this.through = through
    this.#response.off('close', this.#closed)
    this.#response.off('drain', this.#drained)
  }

  /** The response was closed, in time or before. */
  closed(): void {
    if (this.#left || this.through(() => this.#response.writableFinished)) return
    this.#left = true
    for (const left of [...this.#leaving]) left()
    this.#leaving.clear()
  }

  drained(): void {
    this.onDrain?.()
  }

  get hasLeft(): boolean {
    return this.#left
  }

  get started(): boolean {
    return this.through(() => this.#response.headersSent)
  }

  get #gone(): boolean {
    return this.#left || this.through(() => this.#response.destroyed)
  }

  onLeave(left: () => void): () => void {
    if (this.#left) left()
    else this.#leaving.add(left)
    return () => this.#leaving.delete(left)
  }

  answer(status: number, headers: RawHeaders, body: Uint8Array): void {
    if (this.#gone) return
    this.through(() => {
      this.#head(status, headers)
      this.#response.end(body)
    })
  }

  start(status: number, headers: RawHeaders): void {
    if (this.#gone) return
    this.through(() => this.#head(status, headers))
    // The head of a silent stream must not wait for its first byte; one that is there already takes it along.
    setImmediate(() => this.#written || this.#gone || this.through(() => this.#response.flushHeaders()))
  }

  /** One by one: headers that stand in front of this layer stay, where the answer does not name them itself. */
  #head(status: number, headers: RawHeaders): void {
    const response = this.#response
    for (let at = 0; at + 1 < headers.length; at += 2) response.removeHeader(headers[at] as string)
    for (let at = 0; at + 1 < headers.length; at += 2) {
      response.appendHeader(headers[at] as string, headers[at + 1] as string)
    }
    response.statusMessage = ''
    response.writeHead(status)
  }

  write(bytes: Uint8Array): boolean {
    if (this.#gone) return true
    this.#written = true
    return this.through(() => this.#response.write(bytes))
  }

  end(trailers?: RawHeaders): void {
    if (this.#gone) return
    this.#written = true
    this.through(() => {
      for (let at = 0; trailers !== undefined && at + 1 < trailers.length; at += 2) {
        this.#response.addTrailers([[trailers[at] as string, trailers[at + 1] as string]])
      }
      this.#response.end()
    })
  }

  /**
   * A client of HTTP/1.0 knows no chunks: where there is no length, the end of the connection is the end of its answer,
   * and only a reset tells it otherwise.
   */
  cut(): void {
    this.through(() => {
      if (this.#response.req.httpVersionMinor === 0) this.#response.socket?.resetAndDestroy()
      this.#response.destroy()
    })
  }
}
