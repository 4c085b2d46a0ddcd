/** What is known of each connection: how much is being answered on it, and whether its bytes can be trusted. */
import type { Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** One connection, from its first byte to its close. */
export interface Connection {
  /** Requests that are being answered. */
  open: number
  latest: ServerResponse | undefined
  /** What comes after a request that was malformed may be a part of it: nobody reads it. */
  distrusted: boolean
}

/**
 * The connections of a server. One object a connection and not a Set of responses: adding and deleting each response
 * made them outlive the young generation, which cost 12 µs of collection a request.
 */
export class Connections {
  readonly #connections = new WeakMap<Duplex, Connection>()
  /** Requests that are being answered, on all of them. */
  open = 0

  constructor(server: Server) {
    server.on('connection', (socket) => void this.of(socket))
  }

  of(socket: Duplex): Connection {
    const known = this.#connections.get(socket)
    if (known !== undefined) return known
    const connection = { open: 0, latest: undefined, distrusted: false }
    this.#connections.set(socket, connection)
    return connection
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
