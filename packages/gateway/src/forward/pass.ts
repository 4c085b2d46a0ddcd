/** Passes an uncovered request through: both bodies as streams, back-pressure both ways, nothing recorded. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  answerHeaders,
  fieldNames,
  fieldValue,
  fieldValues,
  IdempotencyError,
  type RawHeaders,
  type UpstreamFailure,
} from 'oncekey/http'
import { cutOff } from './cut.ts'
import type { Upstream } from './upstream.ts'

/** One request on its way through. */
export interface Passing {
  readonly upstream: Upstream
  readonly target: string
  readonly headers: string[]
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Already read, or null to stream what the caller sends. */
  readonly body: Buffer | (() => NodeJS.ReadableStream) | null
  readonly status: 'ignored' | 'bypassed'
  readonly timeoutMs: number
}

/** Resolves when the answer has ended; rejects (IdempotencyError) when the upstream failed before its head. */
export function passThrough(passing: Passing): Promise<void> {
  const { upstream, target, headers, request, response, status, timeoutMs } = passing
  return new Promise((resolve, reject) => {
    let begun = false
    const body = passing.body ?? (hasBody(request) ? request : null)
    const call = upstream.call(
      { method: request.method ?? 'GET', target, headers, body, timeoutMs },
      {
        interim(code: number, raw: RawHeaders) {
          passInterim(response, code, raw)
        },
        head(code: number, raw: RawHeaders) {
          response.writeHead(code, [...answerHeaders(raw), fieldNames.status, status])
          // The head of a silent stream must not wait for its first byte; one that is there already takes it along.
          if (fieldValue(raw, 'content-length') === undefined)
            setImmediate(() => begun || response.destroyed || response.flushHeaders())
        },
        data(bytes: Uint8Array) {
          begun = true
          if (!response.write(bytes)) call.pause()
        },
        end(trailers: RawHeaders) {
          begun = true
          if (trailers.length > 0) response.addTrailers(pairs(trailers))
          response.end(resolve)
        },
        fail(failure: UpstreamFailure) {
          if (!response.headersSent) return reject(failed(failure))
          cutOff(response)
          resolve()
        },
      },
    )
    response.on('drain', () => call.resume())
    response.on('close', () => {
      if (!response.writableFinished) call.abort()
      resolve()
    })
  })
}

/**
 * The interim answers that Node can send: 102, and 103 with its links (RFC 8297). 100 is this hop's own, and HTTP/1.0
 * knows none (RFC 9110 §15.2).
 */
function passInterim(response: ServerResponse, code: number, raw: RawHeaders): void {
  if (response.req.httpVersionMinor === 0) return
  if (code === 102) response.writeProcessing()
  const link = fieldValues(raw, 'link')
  if (code !== 103 || link.length === 0) return
  try {
    response.writeEarlyHints({ ...Object.fromEntries(pairs(answerHeaders(raw))), link })
  } catch {
    // Node refuses several links in one line, which is how most are sent. A hint left out costs the answer nothing.
  }
}

/** A request has a body exactly when it says so (RFC 9112 §6.3). */
function hasBody(request: IncomingMessage): boolean {
  const { headers } = request
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

function pairs(raw: RawHeaders): [string, string][] {
  const list: [string, string][] = []
  for (let at = 0; at + 1 < raw.length; at += 2) list.push([raw[at] as string, raw[at + 1] as string])
  return list
}

function failed({ code, sent, cause, reason, retryAfterMs }: UpstreamFailure): IdempotencyError {
  const usual =
    code === 'upstream_timeout' ? 'The upstream did not answer in time' : 'The upstream could not be reached'
  const run = sent ? 'the request may have been executed' : 'the request was not executed'
  const hint = retryAfterMs === undefined ? {} : { retryAfterMs }
  const details = { mayHaveRun: sent, retryable: !sent, cause, ...hint }
  return new IdempotencyError(code, `${reason ?? usual}; ${run}.`, details)
}
