/** The outcome that an operator gives a record: read from a file that says what really happened. */
import { encodeHead } from 'oncekey/http'
import type { ResolveRequest } from 'oncekey/store'

/** What `resolve` records. */
export type GivenOutcome = NonNullable<ResolveRequest['outcome']>

const members = ['status', 'headers', 'body', 'bodyBase64', 'value']

/**
 * Reads `{ "status", "headers"?, "body" | "bodyBase64"? }` for a request through a gateway, or `{ "value" }` for a
 * library's operation. A body that is no text is sent as JSON. Throws an Error that says what is wrong.
 */
export function outcomeFrom(text: string): GivenOutcome {
  const given = parsed(text)
  const unknown = Object.keys(given).find((name) => !members.includes(name))
  if (unknown !== undefined) throw new Error(`has the unknown member "${unknown}". Known: ${members.join(', ')}`)
  const { status, value } = given
  if ((status === undefined) === (value === undefined))
    throw new Error('must have either a status, for a response, or a value, for an operation of the library')
  if (value !== undefined) {
    const head = encodeHead({ kind: 'value', codec: 'json' })
    return { kind: 'value', head, body: Buffer.from(JSON.stringify(value)) }
  }
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599)
    throw new Error('must have a status from 200 to 599')
  const head = encodeHead({ kind: 'response', status, headers: headersOf(given), stream: false })
  return { kind: 'response', head, body: bodyOf(given) }
}

function parsed(text: string): Record<string, unknown> {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new Error('is not JSON')
  }
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return { ...given }
  throw new Error('must hold a JSON object')
}

function headersOf({ headers, body }: Record<string, unknown>): string[] {
  if (headers === undefined) return typeof body === 'object' ? ['content-type', 'application/json'] : []
  const pairs = typeof headers === 'object' && headers !== null ? Object.entries(headers) : []
  if (pairs.length === 0 || !pairs.every(([name, value]) => /^[\w!#$%&'*+.^`|~-]+$/.test(name) && isFieldValue(value)))
    throw new Error('must have headers as an object of names and texts')
  return pairs.flatMap(([name, value]) => [name, String(value)])
}

function isFieldValue(value: unknown): boolean {
  return typeof value === 'string' && !/[\r\n\0]/.test(value)
}

function bodyOf({ body, bodyBase64 }: Record<string, unknown>): Uint8Array {
  if (body !== undefined && bodyBase64 !== undefined) throw new Error('has both a body and a bodyBase64')
  if (typeof bodyBase64 === 'string') return Buffer.from(bodyBase64, 'base64')
  if (body === undefined) return new Uint8Array(0)
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}
