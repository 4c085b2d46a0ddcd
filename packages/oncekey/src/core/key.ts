/** Parses and bounds idempotency keys, and derives the record id that a key names. */
import type { Digest } from './digest.ts'
import { IdempotencyError } from './errors.ts'

/** base64url HMAC over tenant, scope and key: what stores index by. The clear key is never stored or logged. */
export type RecordId = string & { readonly __brand: 'RecordId' }

/** How a key header is read. */
export interface KeyOptions {
  /** Accept only the quoted form of the IETF draft. */
  readonly strict?: boolean
}

/** One header that may hold the key (`Idempotency-Key` or an alias), with the value of each of its field lines. */
export interface KeyField {
  readonly name: string
  readonly values: readonly string[]
}

/** What names a record; no two different triples share a record id. */
export interface RecordName {
  readonly tenant: string
  readonly scope: string
  readonly key: string
}

/** Longest key, in characters of a header and in UTF-8 bytes for the library: what the stores' and ACP's limits share. */
const maxKeyLength = 255

/**
 * The key in the field lines of one header, or undefined when there are none (http.md, Request).
 * Throws `key_malformed` or `key_ambiguous`; two field lines are ambiguous even when they are equal.
 */
export function parseKey(fieldValues: readonly string[], options: KeyOptions = {}): string | undefined {
  const first = fieldValues[0]
  if (first === undefined) return undefined
  if (fieldValues.length > 1) {
    throw new IdempotencyError('key_ambiguous', 'The idempotency key was sent in two header lines. Send it in one.')
  }
  const value = trimmed(first)
  if (value.startsWith('"')) return bounded(unquote(value))
  if (value.includes(',')) throw severalKeys()
  if (options.strict && value !== '') {
    throw malformed('must be quoted: Idempotency-Key: "…"')
  }
  const stray = /[";]/.exec(value)
  if (stray) throw malformed(`holds a bare ${stray[0]}; put the whole key in double quotes`)
  return bounded(value)
}

/** The key all the given headers agree on, or undefined when none is there; two that disagree are `key_ambiguous`. */
export function parseKeyFields(fields: readonly KeyField[], options: KeyOptions = {}): string | undefined {
  let agreed: { readonly name: string; readonly key: string } | undefined
  for (const { name, values } of fields) {
    const key = parseKey(values, options)
    if (key === undefined) continue
    if (agreed !== undefined && agreed.key !== key) {
      throw new IdempotencyError('key_ambiguous', `${agreed.name} and ${name} name different keys. Send one of them.`)
    }
    agreed ??= { name, key }
  }
  return agreed?.key
}

/**
 * Returns a library caller's key if it is one: any text of 1–255 UTF-8 bytes without control characters and lone
 * surrogates. Throws `key_missing` when there is none, `key_malformed` otherwise.
 */
export function checkKey(key: unknown): string {
  if (key === undefined || key === null || key === '') {
    throw new IdempotencyError(
      'key_missing',
      'The operation has no idempotency key. Give it a non-empty string as key.',
    )
  }
  if (typeof key !== 'string') throw malformed(`must be a string and is a ${typeof key}`)
  if (key.length > maxKeyLength || utf8Length(key) > maxKeyLength) {
    throw malformed(`is longer than ${maxKeyLength} bytes; use a digest of it`)
  }
  if (/\p{Cc}/u.test(key)) throw malformed('holds a control character')
  if (!key.isWellFormed()) throw malformed('holds half of a surrogate pair, which has no UTF-8 form')
  return key
}

/** The record id of an operation: HMAC-SHA-256 with the store's pepper over length-prefixed parts (protocol.md, Record). */
export function recordId(digest: Digest, pepper: Uint8Array, name: RecordName): RecordId {
  return digest.hmac(pepper, ['record', exactPart(name.tenant), exactPart(name.scope), exactPart(name.key)]) as RecordId
}

/** A field value without the optional white space around it (RFC 9110 §5.5). A loop: `/[ \t]+$/` is quadratic. */
export function trimmed(value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isBlank(value.charCodeAt(start))) start++
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--
  return value.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/**
 * The part as a digest must see it. Platforms turn every lone surrogate into U+FFFD on the way to UTF-8, so two tenants
 * could meet in one record (I8); such text gets its WTF-8 bytes, which no well-formed text has.
 */
export function exactPart(part: string): string | Uint8Array {
  if (part.isWellFormed()) return part
  const bytes: number[] = []
  for (const character of part) {
    const unit = character.charCodeAt(0)
    if (character.length === 1 && unit >= 0xd800 && unit <= 0xdfff) {
      bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))
    } else {
      bytes.push(...new TextEncoder().encode(character))
    }
  }
  return Uint8Array.from(bytes)
}

/** RFC 9651 §4.2.5, and nothing after the closing quote. */
function unquote(value: string): string {
  let key = ''
  let at = 1
  for (; at < value.length && value[at] !== '"'; at++) {
    if (value[at] === '\\') {
      at++
      if (value[at] !== '"' && value[at] !== '\\') throw malformed('holds a backslash that escapes neither " nor \\')
    }
    key += value[at]
  }
  if (at >= value.length) throw malformed('has no closing double quote')
  const rest = trimmed(value.slice(at + 1))
  if (rest.startsWith(',')) throw severalKeys()
  if (rest.startsWith(';')) throw malformed('is followed by parameters, which it has none of')
  if (rest !== '') throw malformed('is followed by more text after the closing quote')
  return key
}

/** 1–255 visible ASCII. A space is legal in an sf-string but is not visible, and two that differ by it look alike in a log. */
function bounded(key: string): string {
  if (key === '') throw malformed('is empty')
  if (key.length > maxKeyLength) throw malformed(`is longer than ${maxKeyLength} characters`)
  if (!/^[\x21-\x7e]+$/.test(key)) throw malformed('holds a character other than visible ASCII (0x21 to 0x7e)')
  return key
}

function malformed(what: string): IdempotencyError {
  return new IdempotencyError('key_malformed', `The idempotency key ${what}.`)
}

function severalKeys(): IdempotencyError {
  return new IdempotencyError(
    'key_ambiguous',
    'The idempotency key header holds a comma, which separates two keys. Send one key; quote it if the comma is part of it.',
  )
}

function utf8Length(text: string): number {
  let length = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // Either half of a surrogate pair stands for two of its four bytes.
    length += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3
  }
  return length
}
