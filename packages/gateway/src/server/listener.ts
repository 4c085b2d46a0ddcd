/** The server of node:http or node:https, with the limits that Node itself looks after. */
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import type { Limits } from './limits.ts'

/** Certificate and private key, both as PEM. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** Plain HTTP without `tls`. */
export function createListener(limits: Limits, tls: TlsFiles | undefined): Server | SecureServer {
  const options = {
    maxHeaderSize: limits.headBytes,
    keepAliveTimeout: limits.keepAliveMs,
    // A whole request may take its time; its pace is looked after elsewhere.
    requestTimeout: 0,
    headersTimeout: limits.headMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headMs),
  }
  const server =
    tls === undefined
      ? createServer(options)
      : createSecureServer({ ...options, ...tls, handshakeTimeout: limits.handshakeMs })
  server.maxConnections = limits.connections
  // Node would drop every field after the 1,000th without a word, the key among them; their size is bounded above.
  server.maxHeadersCount = 0
  return server
}
