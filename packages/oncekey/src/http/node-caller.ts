/** The caller behind a ServerResponse: writes with back-pressure, notices a hang-up, is cut by destroying the socket. */
import type { ServerResponse } from 'node:http'
import type { HttpCaller } from './caller.ts'
import type { RawHeaders } from './headers.ts'

/** What is done to a response. */
export type ResponseDoor = Pick<
  ServerResponse,
  'writeHead' | 'write' | 'end' | 'flushHeaders' | 'addTrailers' | 'destroy' | 'appendHeader' | 'removeHeader'
>

/** One caller. What it does to the response is real, also while a handler's own doing is captured. */
export class NodeCaller implements HttpCaller {
  onDrain: (() => void) | undefined
  readonly #response: ServerResponse
  #door: ResponseDoor
  readonly #closed = (): void => this.closed()
  readonly #drained = (): void => this.drained()
  readonly #leaving = new Set<() => void>()
  #left = false
  #written = false

  constructor(response: ServerResponse) {
    this.#response = response
    this.#door = response
    response.on('close', this.#closed)
    response.on('drain', this.#drained)
    response.on('error', () => undefined)
  }

  /** Runs what looks at the real response. */
  through: <T>(run: () => T) => T = (run) => run()

  /**
   * A capture has taken the response over, tells what happens to it, and lends its way to the real one. `door` has the
   * methods of the moment before: what the handler's side wraps around the response later is not for us.
   */
  lend(through: <T>(run: () => T) => T, door: ResponseDoor): void {
    this.through = through
    this.#door = door
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
      this.#door.end(body)
    })
  }

  start(status: number, headers: RawHeaders): void {
    if (this.#gone) return
    this.through(() => this.#head(status, headers))
    // The head of a silent stream must not wait for its first byte; one that is there already takes it along.
    setImmediate(() => this.#written || this.#gone || this.through(() => this.#door.flushHeaders()))
  }

  /** One by one: headers that stand in front of this layer stay, where the answer does not name them itself. */
  #head(status: number, headers: RawHeaders): void {
    const door = this.#door
    for (let at = 0; at + 1 < headers.length; at += 2) door.removeHeader(headers[at] as string)
    for (let at = 0; at + 1 < headers.length; at += 2) {
      door.appendHeader(headers[at] as string, headers[at + 1] as string)
    }
    this.#response.statusMessage = ''
    door.writeHead(status)
  }

  write(bytes: Uint8Array): boolean {
    if (this.#gone) return true
    this.#written = true
    return this.through(() => this.#door.write(bytes))
  }

  end(trailers?: RawHeaders): void {
    if (this.#gone) return
    this.#written = true
    this.through(() => {
      for (let at = 0; trailers !== undefined && at + 1 < trailers.length; at += 2) {
        this.#door.addTrailers([[trailers[at] as string, trailers[at + 1] as string]])
      }
      this.#door.end()
    })
  }

  /**
   * A client of HTTP/1.0 knows no chunks: where there is no length, the end of the connection is the end of its answer,
   * and only a reset tells it otherwise.
   */
  cut(): void {
    this.through(() => {
      if (this.#response.req.httpVersionMinor === 0) this.#response.socket?.resetAndDestroy()
      this.#door.destroy()
    })
  }
}
