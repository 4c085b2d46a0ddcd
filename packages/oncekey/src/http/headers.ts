/** Names and rules of HTTP header fields, on raw lists: name, value, name, value, in the order of the wire. */
import { trimmed } from '../core/key.ts'

/** A flat list of names and values, as Node's `rawHeaders`. */
export type RawHeaders = readonly string[]

/** The fields of the contract (http.md), spelled as they are sent. */
export const fieldNames = {
  key: 'Idempotency-Key',
  status: 'Idempotency-Status',
  replayed: 'Idempotent-Replayed',
  originalDate: 'Idempotency-Original-Date',
  expires: 'Idempotency-Expires',
  preferenceApplied: 'Preference-Applied',
  shouldRetry: 'X-Should-Retry',
  retryAfter: 'Retry-After',
  retryAfterMs: 'Retry-After-Ms',
} as const

/** Where the next field line with this name is, from `at` on; -1 if there is none. A request is asked for 25 names. */
function nextField(raw: RawHeaders, name: string, from: number): number {
  for (let at = from; at + 1 < raw.length; at += 2) {
    const found = raw[at] as string
    if (found.length === name.length && (found === name || found.toLowerCase() === name.toLowerCase())) return at
  }
  return -1
}

/** The value of every field line with this name, in order, as sent. */
export function fieldValues(raw: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (let at = nextField(raw, name, 0); at >= 0; at = nextField(raw, name, at + 2)) values.push(raw[at + 1] as string)
  return values
}

/**
 * The field as one value: lines trimmed and joined by a comma (RFC 9110 §5.3), so that servers which join and servers
 * which do not see the same. Undefined when there is no such line or all are empty.
 */
export function fieldValue(raw: RawHeaders, name: string): string | undefined {
  const first = nextField(raw, name, 0)
  if (first < 0) return undefined
  if (nextField(raw, name, first + 2) < 0) return trimmed(raw[first + 1] as string) || undefined
  const values = fieldValues(raw, name)
    .map(trimmed)
    .filter((value) => value !== '')
  return values.length > 0 ? values.join(', ') : undefined
}

/** The list without the fields for which `drop` says yes; it is asked with the name in lower case. */
export function withoutFields(raw: RawHeaders, drop: (name: string) => boolean): string[] {
  const kept: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] as string
    if (!drop(name.toLowerCase())) kept.push(name, raw[at + 1] as string)
  }
  return kept
}

const hopByHop = new Set(['connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade', 'http2-settings'])

/** Says which fields belong to one connection (RFC 9110 §7.6.1): the known ones, `Proxy-*`, and what `Connection` names. */
function hopByHopOf(raw: RawHeaders): (name: string) => boolean {
  const named = new Set<string>()
  for (const value of fieldValues(raw, 'connection')) {
    for (const option of value.split(',')) named.add(trimmed(option).toLowerCase())
  }
  return (name) => hopByHop.has(name) || name.startsWith('proxy-') || named.has(name)
}

/** A request's fields for the next hop. `Trailer` stays: trailers are forwarded. */
export function endToEndHeaders(raw: RawHeaders): string[] {
  return withoutFields(raw, hopByHopOf(raw))
}

/** Fields that only this layer may say; an upstream's own must never pass for ours (http.md, Answers). */
function isOurs(name: string): boolean {
  return name.startsWith('idempotency-') || name.startsWith('idempotent-')
}

/**
 * An upstream's answer for the caller whose request it answers: end to end, and without the upstream's own
 * `Idempotency-*`. Trailers go on without being announced, since an answer in another framing cannot announce them
 * (Node throws) and the announcement is only a hint (RFC 9110 §6.6.2).
 */
export function answerHeaders(raw: RawHeaders): string[] {
  const perHop = hopByHopOf(raw)
  return withoutFields(raw, (name) => perHop(name) || isOurs(name) || name === 'trailer')
}

const replayed = new Set([
  'content-type',
  'content-encoding',
  'content-language',
  'content-disposition',
  'location',
  'etag',
  'request-id',
  'x-request-id',
])

/** Per connection, per moment or per caller: wrong in any replay, so no configuration can add them. */
const neverReplayed = new Set([
  'set-cookie',
  'set-cookie2',
  'date',
  'age',
  'authorization',
  'www-authenticate',
  'authentication-info',
  'retry-after',
  'retry-after-ms',
  'cache-control',
  'content-length',
  'trailer',
])

/** `x-ratelimit-*`, `anthropic-ratelimit-*`, `RateLimit`, and Anthropic's `…-tokens-limit`, `-remaining`, `-reset`. */
const rateLimit = /rate-?limit|^(?:openai|anthropic)-.*-(?:limit|remaining|reset)$/

/**
 * The fields of an answer that are stored and replayed (http.md, Answers). `extraAllow` adds names; one that ends in `*`
 * is a prefix.
 */
export function replayHeaders(raw: RawHeaders, extraAllow: readonly string[] = []): string[] {
  const perHop = hopByHopOf(raw)
  const extra = extraAllow.map((name) => name.toLowerCase())
  return withoutFields(raw, (name) => {
    if (neverReplayed.has(name) || rateLimit.test(name) || isOurs(name) || perHop(name)) return true
    const isAllowed =
      replayed.has(name) ||
      /^(?:openai|anthropic|x-goog)-./.test(name) ||
      extra.some((allowed) => (allowed.endsWith('*') ? name.startsWith(allowed.slice(0, -1)) : name === allowed))
    return !isAllowed
  })
}

/** Largest delta-seconds a recipient need hold (RFC 9111 §1.2.2); more means "for ever". */
const maxDeltaSeconds = 2 ** 31 - 1

/** One preference: token, value if any; parameters are passed over. No repetition follows another over the same text. */
const preference = /^\s*([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]+)))?\s*(?:;|$)/

/** Seconds of `Prefer: wait=N` (RFC 7240 §4.3), or undefined. The first `wait` counts, and one without digits is ignored. */
export function parseWait(prefer: readonly string[]): number | undefined {
  for (const line of prefer) {
    for (const element of listElements(line)) {
      const [, name, quoted, bare] = preference.exec(element) ?? []
      if (name?.toLowerCase() !== 'wait') continue
      const value = quoted ?? bare ?? ''
      return /^\d+$/.test(value) ? Math.min(Number(value), maxDeltaSeconds) : undefined
    }
  }
  return undefined
}

/** Splits a list at commas outside quoted strings. */
function listElements(line: string): string[] {
  const elements: string[] = []
  let start = 0
  let isQuoted = false
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at)
    if (code === 0x22) isQuoted = !isQuoted
    else if (code === 0x5c && isQuoted) at++
    else if (code === 0x2c && !isQuoted) {
      elements.push(line.slice(start, at))
      start = at + 1
    }
  }
  elements.push(line.slice(start))
  return elements
}

/** An epoch time in ms as an HTTP date (RFC 9110 §5.6.7). Times beyond the year 9999 become its last second. */
export function httpDate(ms: number): string {
  const second = Math.floor(Math.min(Math.max(ms, 0), 253_402_300_799_000) / 1000)
  if (second !== lastDate.second) lastDate = { second, text: new Date(second * 1000).toUTCString() }
  return lastDate.text
}

/** The answers of one second carry the same few dates. */
let lastDate = { second: -1, text: '' }
