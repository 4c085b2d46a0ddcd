/** Takes a request back from an upgrade nobody here accepts. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/** Only a WebSocket is passed on as an upgrade: GET, and no body that would get lost between two protocols. */
export function isWebSocket({ method, headers }: IncomingMessage): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && !hasBody
}

/**
 * Serves the request as if it had offered no upgrade, which a server may pass over (RFC 9110 §7.8); Java's HttpClient
 * offers h2c with every request. Node has taken the connection from its parser by now, so the head is written again,
 * without the offer, in front of what came behind it.
 */
export function declineUpgrade(
  server: { emit(event: string, socket: Duplex): boolean },
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const { method, url, httpVersion, rawHeaders } = request
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() !== 'upgrade') text += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]))
  // A server of TLS would begin a handshake inside the one that is done.
  server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket)
}
