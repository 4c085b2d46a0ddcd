/** The provider of the queue tests: a real HTTP server whose ledger is the only judge of what was paid. */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** `POST /ID` pays for an id and says so at once; the answer's end is held back while `hold` says so. `GET /ID` counts. */
export interface Provider {
  readonly url: string
  /** How often each id was paid. */
  readonly paid: ReadonlyMap<string, number>
  /** Payments in all. */
  readonly total: number
  /** Keeps back the end of every answer from now on, until `release`. */
  hold(): void
  release(): void
  close(): Promise<void>
}

/** Starts one. */
export async function startProvider(): Promise<Provider> {
  const paid = new Map<string, number>()
  let total = 0
  let held: ServerResponse[] | undefined
  const server: Server = createServer((request, response) => {
    const id = decodeURIComponent((request.url ?? '').slice(1))
    if (request.method === 'GET') return void response.end(String(paid.get(id) ?? 0))
    paid.set(id, (paid.get(id) ?? 0) + 1)
    total += 1
    request.resume()
    if (held === undefined) return void response.end('paid')
    response.write('paid')
    held.push(response)
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    paid,
    get total() {
      return total
    },
    hold() {
      held ??= []
    },
    release() {
      for (const response of held ?? []) response.end()
      held = undefined
    },
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
