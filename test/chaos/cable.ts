/** A cable to a server on this machine that can be pulled out and put back. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A relay of TCP. While it is out, open connections are gone and new ones end at once. */
export class Cable {
  readonly port: number
  /** How long bytes take, each way. */
  delayMs = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #out = false

  private constructor(server: Server, target: { readonly port: number }) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#join(client, target.port))
  }

  static async to(target: { readonly port: number }): Promise<Cable> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Cable(server, target)
  }

  pull(): void {
    this.#out = true
    for (const socket of this.#sockets) socket.destroy()
  }

  plug(): void {
    this.#out = false
  }

  close(): void {
    this.#server.close()
    this.pull()
  }

  #pass(bytes: Buffer, to: Socket): void {
    if (this.delayMs === 0) to.write(bytes)
    else setTimeout(() => to.destroyed || to.write(bytes), this.delayMs)
  }

  #join(client: Socket, port: number): void {
    if (this.#out) {
      client.destroy()
      return
    }
    const server = connect({ port, host: '127.0.0.1', noDelay: true })
    const both = [client, server]
    for (const socket of both) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        for (const other of both) other.destroy()
      })
    }
    client.on('data', (bytes) => this.#pass(bytes, server))
    server.on('data', (bytes) => this.#pass(bytes, client))
  }
}
