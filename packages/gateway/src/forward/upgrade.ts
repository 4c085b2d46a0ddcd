/** WebSocket and other upgrades pass through unrecorded: two sockets, joined. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { withoutFields } from 'oncekey/http'
import type { Upstream } from './upstream.ts'

/** One upgrade on its way: `headers` are those for the next hop; the offer to upgrade is made anew. */
export interface Upgrading {
  readonly upstream: Upstream
  readonly target: string
  readonly headers: string[]
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** What the caller sent behind its request. */
  readonly head: Buffer
}

/** Joins the caller's socket with the upstream's; an upstream that refuses is answered as it answered. */
export function upgrade({ upstream, target, headers, request, socket, head }: Upgrading): void {
  const offer = request.headers.upgrade ?? ''
  // Nothing is sent behind the head, so there are no trailers to announce; Node throws where they are.
  const fields = withoutFields(headers, (name) => name === 'trailer')
  const start = upstream.url.protocol === 'https:' ? httpsRequest : httpRequest
  const forward = start(new URL(upstream.url.origin), {
    method: request.method,
    path: upstream.path(target),
    // Node adds nothing to a raw list, so the Host is ours to set.
    headers: ['Host', upstream.url.host, 'Connection', 'Upgrade', 'Upgrade', offer, ...fields] as never,
    agent: false,
  })
  const drop = (): void => {
    socket.destroy()
    forward.destroy()
  }
  socket.on('error', drop)
  forward.on('error', () => {
    if (socket.writable) socket.end('HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  forward.on('upgrade', (answer, upSocket, upHead) => {
    socket.write(headText(answer))
    if (upHead.length > 0) socket.write(upHead)
    if (head.length > 0) upSocket.write(head)
    upSocket.on('error', drop)
    socket.on('close', () => upSocket.destroy())
    upSocket.on('close', () => socket.destroy())
    socket.pipe(upSocket)
    upSocket.pipe(socket)
  })
  forward.on('response', (answer) => {
    socket.write(headText(answer, true))
    answer.pipe(socket)
  })
  forward.end()
}

/** The head as it came; a refusal loses its framing, for it ends with the connection. */
function headText(answer: IncomingMessage, closing = false): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`]
  for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2) {
    const name = answer.rawHeaders[at] as string
    if (closing && /^(?:transfer-encoding|connection|keep-alive)$/i.test(name)) continue
    lines.push(`${name}: ${answer.rawHeaders[at + 1]}`)
  }
  if (closing) lines.push('Connection: close')
  return `${lines.join('\r\n')}\r\n\r\n`
}
