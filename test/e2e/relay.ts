/** A flaky network: relays TCP to a port, or to several in turn, notes the requests it sees, and loses or cuts answers when it is told to. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * What becomes of an answer. `lose`: its first byte is the end of the connection, so the request was answered and the
 * client never hears it. A number: so many bytes of it, head included, go through before the connection breaks.
 */
export type Fate = 'pass' | 'lose' | number

/** A request as it was seen on the way. */
export interface Relayed {
  /** `performance.now()` of its first byte. */
  readonly atMs: number
  /** Request line and fields. */
  head: string
  /** Status line and fields of its answer, also of one that gets lost. */
  answer: string
  /** Where it went: 0 for the first port. */
  readonly target: number
  /** All of its answer, as it came over the wire. */
  readonly bytes: Buffer[]
}

/** A relay that listens. */
export class Relay {
  readonly url: string
  readonly port: number
  readonly requests: Relayed[] = []
  /** Answers that were lost or cut. */
  broken = 0
  /** Connections that were made. */
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #fates: Fate[] = []

  private constructor(server: Server, ports: readonly number[]) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.url = `http://127.0.0.1:${this.port}`
    server.on('connection', (client) => this.#relay(client, this.connections++ % ports.length, ports))
  }

  /** Each connection goes to the next of the ports. */
  static async start(...ports: readonly number[]): Promise<Relay> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Relay(server, ports)
  }

  /** The next answers, one each, end so; all others pass. */
  plan(...fates: readonly Fate[]): void {
    this.#fates.push(...fates)
  }

  /** Breaks every connection, whatever it is waiting for. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Forgets plan and requests. */
  reset(): void {
    this.#fates = []
    this.requests.length = 0
    this.broken = 0
  }

  close(): void {
    this.#server.close()
    this.cutAll()
  }

  #relay(client: Socket, target: number, ports: readonly number[]): void {
    const server = connect({ port: ports[target] ?? 0, host: '127.0.0.1', noDelay: true })
    const both = [client, server]
    for (const socket of both) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        for (const other of both) other.destroy()
      })
    }
    let request: Relayed | undefined
    let answered: Relayed | undefined
    let left = Number.POSITIVE_INFINITY
    client.on('data', (bytes) => {
      if (request === undefined) {
        request = { atMs: performance.now(), head: '', answer: '', target, bytes: [] }
        this.requests.push(request)
      }
      if (!request.head.includes('\r\n\r\n')) request.head += bytes.toString('latin1')
      server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (request !== undefined) {
        // The first byte of an answer; a client of HTTP/1.1 asks again only after the last.
        request.head = request.head.slice(0, request.head.indexOf('\r\n\r\n'))
        answered = request
        request = undefined
        const fate = this.#fates.shift() ?? 'pass'
        left = fate === 'pass' ? Number.POSITIVE_INFINITY : fate === 'lose' ? 0 : fate
      }
      if (answered !== undefined && !answered.answer.includes('\r\n\r\n')) answered.answer += bytes.toString('latin1')
      answered?.bytes.push(bytes)
      if (bytes.length < left) {
        left -= bytes.length
        client.write(bytes)
        return
      }
      this.broken += 1
      const last = bytes.subarray(0, left)
      if (last.length === 0) client.destroy()
      else client.write(last, () => client.destroy())
    })
  }
}

/** A field's value in a relayed request. */
export function fieldOf(request: Relayed | undefined, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*?)\r?$`, 'im').exec(request?.head ?? '')?.[1]
}

/** A field's value in the answer to a relayed request. */
export function answerFieldOf(request: Relayed | undefined, name: string): string | undefined {
  const head = request?.answer.split('\r\n\r\n', 1)[0]
  return new RegExp(`^${name}: *(.*?)\r?$`, 'im').exec(head ?? '')?.[1]
}

/** The body of the answer to a relayed request, out of its framing. */
export function bodyOf({ bytes }: Relayed): Buffer {
  const all = Buffer.concat(bytes)
  const begin = all.indexOf('\r\n\r\n')
  if (begin < 0) return Buffer.alloc(0)
  const body = all.subarray(begin + 4)
  if (!/^transfer-encoding: *chunked\r?$/im.test(all.subarray(0, begin + 2).toString('latin1'))) return body
  const chunks: Buffer[] = []
  for (let at = 0; ; ) {
    const line = body.indexOf('\r\n', at)
    const length = Number.parseInt(body.subarray(at, line).toString('latin1'), 16)
    if (line < 0 || !(length > 0)) return Buffer.concat(chunks)
    chunks.push(body.subarray(line + 2, line + 2 + length))
    at = line + 2 + length + 2
  }
}
