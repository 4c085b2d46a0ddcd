/** Servers for the HTTP conformance suite: the suite's options as an adapter's, and listening on a free port. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Store } from '../../../src/core/store.ts'
import type { HttpOptions } from '../../../src/http/node.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import type { OpenedServer, WantedOptions } from '../../../src/testing/index.ts'

/** The options of an adapter whose requests have their headers where `headerOf` finds them. */
export function optionsFor<Request>(
  { tenantHeader, ...wanted }: WantedOptions,
  headerOf: (request: Request, name: string) => string | undefined,
): HttpOptions<Request> & { readonly store: Store } {
  return {
    store: memoryStore(),
    ...wanted,
    ...(tenantHeader === undefined ? {} : { tenant: (request: Request) => headerOf(request, tenantHeader) }),
  }
}

/** A header of an IncomingMessage, and of what is like one. */
export function nodeHeader(
  request: { readonly headers: Record<string, string | string[] | undefined> },
  name: string,
): string | undefined {
  return [request.headers[name]].flat()[0]
}

/** Listens on a free port; closing ends every connection, then what was behind. */
export async function listening(server: Server, close: () => Promise<unknown>): Promise<OpenedServer> {
  if (!server.listening) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await close()
    },
  }
}

/** A server of node:http around a listener. */
export function serving(listener: RequestListener, close: () => Promise<unknown>): Promise<OpenedServer> {
  return listening(createServer(listener), close)
}
