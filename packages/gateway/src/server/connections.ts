/** What is known of each connection: how much is being answered on it, and whether its bytes can be trusted. */
import type { ServerResponse } from 'node:http'
import type { Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { systemClock } from 'oncekey/http'

/** One connection, from its first byte to its close. */
export interface Connection {
  /** Requests that are being answered. */
  open: number
  latest: ServerResponse | undefined
  /** What comes after a request that was malformed may be a part of it: nobody reads it. */
  distrusted: boolean
  /** Two sockets joined; nothing is known of what goes on in there. */
  isTunnel: boolean
  /** Since when nothing is being answered, of the monotonic clock. */
  idleSinceMs: number
}

/**
 * The connections of a server. One object a connection and not a Set of responses: adding and deleting each response
 * made them outlive the young generation, which cost 12 µs of collection a request.
 */
export class Connections {
  readonly #connections = new Map<Duplex, Connection>()
  /** Requests that are being answered, on all of them. */
  open = 0

  /** `arrival` is the event of a connection over which HTTP is spoken: with TLS not before the handshake. */
  constructor(server: NetServer, arrival: 'connection' | 'secureConnection') {
    server.on(arrival, (socket: Duplex) => void this.of(socket))
  }

  /** Has HTTP been spoken over it? */
  knows(socket: Duplex): boolean {
    return this.#connections.has(socket)
  }

  of(socket: Duplex): Connection {
    const known = this.#connections.get(socket)
    if (known !== undefined) return known
    const idleSinceMs = systemClock.monotonicMs()
    const connection = { open: 0, latest: undefined, distrusted: false, isTunnel: false, idleSinceMs }
    this.#connections.set(socket, connection)
    socket.once('close', () => this.#connections.delete(socket))
    return connection
  }

  /** Those that are not closed yet. */
  get count(): number {
    return this.#connections.size
  }

  [Symbol.iterator](): Iterator<readonly [Duplex, Connection]> {
    return this.#connections.entries()
  }

  /** Closes those on which nothing has happened for so long. */
  closeIdle(forMs: number): void {
    const since = systemClock.monotonicMs() - forMs
    for (const [socket, { open, isTunnel, idleSinceMs }] of this.#connections)
      if (open === 0 && !isTunnel && idleSinceMs <= since) socket.destroy()
  }

  /** A request begins to be answered; answers its connection. */
  begin(response: ServerResponse): Connection {
    const connection = this.of(response.req.socket)
    connection.open += 1
    connection.latest = response
    this.open += 1
    return connection
  }

  end(connection: Connection): void {
    connection.open -= 1
    connection.idleSinceMs = systemClock.monotonicMs()
    this.open -= 1
  }

  /**
   * Would bytes written now end up in an answer, or be taken for one? Not if all there is is a request whose body is
   * still coming in and that nobody has begun to answer.
   */
  isBusy(socket: Duplex): boolean {
    const { open, latest } = this.of(socket)
    if (open !== 1 || latest === undefined) return open > 1
    return !latest.writableFinished && (latest.req.complete || latest.headersSent)
  }
}
