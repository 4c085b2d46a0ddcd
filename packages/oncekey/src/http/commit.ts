/** `attempt.commit(tx, answer)` over HTTP: the answer a handler is about to send, recorded in its own transaction. */
import type { End } from '../core/attempt.ts'
import type { Digest } from '../core/digest.ts'
import { IdempotencyError } from '../core/errors.ts'
import { completion } from './conclusion.ts'
import { fieldValue, replayHeaders } from './headers.ts'
import type { RouteOptions } from './route.ts'

/** What a handler hands to `attempt.commit`: its whole answer. */
export interface CommittedAnswer {
  /** Default 200. */
  readonly status?: number
  /** Kept as far as they may be replayed. The type of the content is filled in for text and JSON. */
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes, text, or a JSON value; undefined: empty. */
  readonly body?: unknown
}

const utf8 = new TextEncoder()

/** Makes the end of an attempt from a handler's answer. */
export function committing(digest: Digest, route: RouteOptions): (value: unknown) => End {
  return (value) => {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) throw notAnAnswer()
    const { status = 200, headers = {}, body } = value as CommittedAnswer
    if (!Number.isInteger(status) || status < 200 || status > 599) throw notAnAnswer()
    const given = Object.entries(headers).flat()
    const type = typeOf(body)
    const named = type === undefined || fieldValue(given, 'content-type') !== undefined
    const all = named ? given : [...given, 'Content-Type', type]
    return completion(digest, { status, headers: replayHeaders(all, route.replayHeaders), body: bytesOf(body) })
  }
}

function typeOf(body: unknown): string | undefined {
  if (body === undefined || body instanceof Uint8Array) return undefined
  return typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8'
}

function bytesOf(body: unknown): Uint8Array {
  if (body === undefined) return new Uint8Array(0)
  if (body instanceof Uint8Array) return body
  return utf8.encode(typeof body === 'string' ? body : JSON.stringify(body))
}

function notAnAnswer(): IdempotencyError {
  const sentence =
    'attempt.commit(transaction, answer) takes the answer that the handler is about to send: { status, headers, body }.'
  return new IdempotencyError('config_invalid', sentence)
}
