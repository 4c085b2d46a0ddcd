/** Finds the connections that are held open by a trickle: bodies that hardly come, answers that nobody takes. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Connection } from './connections.ts'
import type { Limits } from './limits.ts'

/** What is too slow. */
export type Slowness = 'body' | 'reader'

/** What was seen of a connection the last time. */
interface Seen {
  request: IncomingMessage | undefined
  /** Bytes of the connection when its request was first seen incomplete. */
  fromBytes: number
  /** For bytes that could have come: while an upstream takes nothing the caller is not to blame. */
  waitedMs: number
  takenBytes: number
  stalledMs: number
}

/**
 * Looks at all connections now and then, and at no request when it comes: a timer for each would cost every request what
 * only an attacker needs.
 */
export class Pace {
  readonly #limits: Limits
  readonly #seen = new WeakMap<Duplex, Seen>()

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Is this connection too slow, now that so much time has passed since it was asked for the last time? */
  judge(socket: Duplex, connection: Connection, passedMs: number): Slowness | undefined {
    if (connection.isTunnel) return undefined
    const seen = this.#seen.get(socket) ?? {
      request: undefined,
      fromBytes: 0,
      waitedMs: 0,
      takenBytes: 0,
      stalledMs: 0,
    }
    this.#seen.set(socket, seen)
    if (this.#isStalled(socket as Socket, seen, passedMs)) return 'reader'
    return this.#trickles(socket as Socket, connection, seen, passedMs) ? 'body' : undefined
  }

  #isStalled(socket: Socket, seen: Seen, passedMs: number): boolean {
    const taken = socket.bytesWritten - socket.writableLength
    const stands = socket.writableLength > 0 && taken === seen.takenBytes
    seen.takenBytes = taken
    seen.stalledMs = stands ? seen.stalledMs + passedMs : 0
    return seen.stalledMs > this.#limits.stalledMs
  }

  #trickles(socket: Socket, { open, latest }: Connection, seen: Seen, passedMs: number): boolean {
    const request = open > 0 && latest?.req.complete === false ? latest.req : undefined
    if (request !== seen.request || request === undefined) {
      seen.request = request
      seen.fromBytes = socket.bytesRead
      seen.waitedMs = 0
      return false
    }
    // What has come and is not taken yet is no fault of the caller's.
    if (request.readableLength === 0) seen.waitedMs += passedMs
    const earnedMs = ((socket.bytesRead - seen.fromBytes) * 1_000) / this.#limits.bodyBytesPerSecond
    return seen.waitedMs > this.#limits.bodyMs + earnedMs
  }
}
