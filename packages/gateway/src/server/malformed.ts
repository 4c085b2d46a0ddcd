/** Refuses what is not plainly one HTTP request: two servers could read it in two ways. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { fieldValues, IdempotencyError, systemClock } from 'oncekey/http'
import type { Connections } from './connections.ts'

/**
 * Is it what one server understands as another does? Node lets through transfer codings besides chunked, several Hosts,
 * and HTTP/0.9, which has no headers (RFC 9112 §6.1, §3.2).
 */
export function isPlain({ httpVersionMajor, rawHeaders }: IncomingMessage): boolean {
  const codings = fieldValues(rawHeaders, 'transfer-encoding')
  const isCoded = codings.length > 1 || (codings[0] !== undefined && codings[0].trim().toLowerCase() !== 'chunked')
  return !isCoded && fieldValues(rawHeaders, 'host').length <= 1 && httpVersionMajor === 1
}

/** The refusal of what is not plain. */
export function notPlain(): IdempotencyError {
  return new IdempotencyError(
    'body_malformed',
    'The request has more than one Host, a transfer coding other than chunked, or is not HTTP/1.1. Send it plainly.',
  )
}

/** What has words of its own, by the code of Node's parser. */
const refusals: Readonly<Record<string, readonly [number, string, string]>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    'The head of the request is over 64 KiB. It was not forwarded. Send less.',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [
    408,
    'Request Timeout',
    'The request did not come in time: its head within a minute, its body at 500 bytes a second. Send it again.',
  ],
}
/** A connection is kept for so long after a refusal that closes it. */
const lingerMs = 1_000

/**
 * Answers bytes that no parser takes, unless they came behind a request that is being answered: then the answer would
 * be taken for that request's, or end up in its middle, so the connection is cut. So is one whose TLS handshake failed.
 */
export function answerMalformed(
  error: Pick<NodeJS.ErrnoException, 'code'>,
  socket: Duplex,
  connections: Connections,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable || !connections.knows(socket) || connections.isBusy(socket)) {
    socket.destroy()
    return
  }
  const [status, title, sentence] = refusals[error.code ?? ''] ?? [
    400,
    'Bad Request',
    `The request is not well-formed HTTP (${error.code ?? 'unknown'}). It was not forwarded.`,
  ]
  const body = JSON.stringify({
    type: 'about:blank',
    title,
    status,
    detail: sentence,
    error: {
      message: sentence,
      type: 'invalid_request_error',
      code: status === 408 ? 'request_timeout' : 'malformed_request',
      param: null,
    },
  })
  const head = `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nX-Should-Retry: false\r\nConnection: close\r\n\r\n`
  socket.end(head + body)
  // Whoever does not hang up by himself has had the time to read it.
  systemClock.setTimer(lingerMs, () => socket.destroy())
}
