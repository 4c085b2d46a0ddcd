/** How a library's value or final error becomes bytes, and comes back. */
import { IdempotencyError } from './errors.ts'

/** Turns values into bytes and back; `name` is recorded, so that a replay knows which codec wrote it. */
export interface Codec {
  readonly name: string
  encode(value: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()
const finals = new WeakSet<object>()

/** Marks an error as the operation's outcome: it is recorded and thrown again on every retry. */
export function final<E extends Error>(error: E): E {
  finals.add(error)
  return error
}

/** Was the error marked by {@link final}? */
export function isFinal(error: unknown): error is Error {
  return typeof error === 'object' && error !== null && finals.has(error)
}

/** Bytes stay as they are, `undefined` is an empty body, all else goes through the codec or JSON. */
export function encodeValue(value: unknown, codec?: Codec): { readonly codec: string; readonly bytes: Uint8Array } {
  if (codec !== undefined) return { codec: codec.name, bytes: codec.encode(value) }
  if (value === undefined) return { codec: 'undefined', bytes: new Uint8Array(0) }
  if (value instanceof Uint8Array) return { codec: 'bytes', bytes: value }
  return { codec: 'json', bytes: utf8.encode(jsonOf(value)) }
}

function jsonOf(value: unknown): string {
  let cause: unknown
  try {
    const text = JSON.stringify(value)
    if (text !== undefined) return text
  } catch (error) {
    // A bigint, or a value that holds itself.
    cause = error
  }
  const sentence = `A ${typeof value} cannot be recorded as JSON. Return a JSON value or bytes, or set the codec option.`
  throw new IdempotencyError('config_invalid', sentence, { cause })
}

/** The reverse of {@link encodeValue}. */
export function decodeValue(bytes: Uint8Array, name: string, codec?: Codec): unknown {
  if (codec?.name === name) return codec.decode(bytes)
  if (name === 'undefined') return undefined
  if (name === 'bytes') return bytes
  if (name === 'json') return JSON.parse(fromUtf8.decode(bytes))
  throw new IdempotencyError(
    'outcome_not_replayable',
    `The outcome was recorded with the codec "${name}", which this process does not have.`,
  )
}

/** A final error's name, message, code and JSON-able own properties. */
export function encodeError(error: Error): Uint8Array {
  const own = Object.fromEntries(Object.entries(error).filter(([, value]) => isJson(value)))
  return utf8.encode(JSON.stringify({ name: error.name, message: error.message, own }))
}

/** The recorded error, as an Error of the same name, message and own properties, marked final again. */
export function decodeError(bytes: Uint8Array): Error {
  const { name, message, own } = JSON.parse(fromUtf8.decode(bytes)) as { name: string; message: string; own: object }
  return final(Object.assign(new Error(message), own, { name }))
}

function isJson(value: unknown): boolean {
  try {
    return JSON.stringify(value) !== undefined
  } catch {
    return false
  }
}
