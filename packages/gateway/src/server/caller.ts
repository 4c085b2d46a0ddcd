/** The caller behind node:http: writes with back-pressure, notices a hang-up, and is cut by destroying the socket. */
import type { ServerResponse } from 'node:http'
import { fieldNames, type HttpCaller, type RawHeaders } from 'oncekey/http'
import { cutOff } from '../forward/index.ts'

/** Above this a copy costs more than a second part of a write. */
const oneWriteBytes = 64 * 1024

/** One caller of the gateway. */
export class NodeCaller implements HttpCaller {
  onDrain: (() => void) | undefined
  /** The `Idempotency-Status` of the answer, once there is one. */
  how = ''
  readonly #response: ServerResponse
  readonly #leaving = new Set<() => void>()
  #left = false
  #draining = false
  #written = false

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

  /** Of the answer that was begun; 0 where there is none. */
  get status(): number {
    return this.#response.headersSent ? this.#response.statusCode : 0
  }

  /** Was an answer begun that has no end? */
  get wasCut(): boolean {
    return this.#response.headersSent && !this.#response.writableEnded
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
    // As latin1 text a small body leaves in one piece with the head: one system call, not a gathered write of two parts.
    if (body.length > oneWriteBytes || this.#response.req.method === 'HEAD') this.#response.end(body)
    else this.#response.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'), 'latin1')
  }

  start(status: number, headers: RawHeaders): void {
    if (this.#response.destroyed) return
    this.#head(status, headers)
    // The head of a silent stream must not wait for its first byte; one that is there already takes it along.
    setImmediate(() => this.#written || this.#response.destroyed || this.#response.flushHeaders())
  }

  #head(status: number, headers: RawHeaders): void {
    this.how = headers[headers.lastIndexOf(fieldNames.status) + 1] ?? ''
    this.#response.writeHead(status, headers as string[])
  }

  write(bytes: Uint8Array): boolean {
    if (this.#response.destroyed) return true
    this.#written = true
    const room = this.#response.write(bytes)
    if (!room && !this.#draining) {
      this.#draining = true
      this.#response.on('drain', () => this.onDrain?.())
    }
    return room
  }

  end(trailers?: RawHeaders): void {
    if (this.#response.destroyed) return
    this.#written = true
    for (let at = 0; trailers !== undefined && at + 1 < trailers.length; at += 2) {
      this.#response.addTrailers([[trailers[at] as string, trailers[at + 1] as string]])
    }
    this.#response.end()
  }

  cut(): void {
    cutOff(this.#response)
  }
}
