/** Reads single values of flags, variables and files: durations, sizes, URLs, booleans, choices. */
import { UsageError } from './usage.ts'

/** Where a value was written, for the sentence that refuses it: `--lease`, `ONCEKEY_LEASE` or `lease in FILE`. */
export type Origin = string

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const sizeUnits: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

/** Milliseconds of `500ms`, `30s`, `10m`, `24h`, `2d`. */
export function duration(value: unknown, origin: Origin): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(value).trim()) ?? []
  if (digits === undefined || unit === undefined)
    throw wrong(value, origin, 'a duration such as 500ms, 30s, 10m or 24h')
  return Math.round(Number(digits) * (durationUnits[unit] ?? 1))
}

/** Bytes of `512kb`, `64mb`, `1gb`, or a plain number of bytes. */
export function size(value: unknown, origin: Origin): number {
  const [, digits, unit = 'b'] = /^(\d+(?:\.\d+)?)(b|kb|mb|gb)?$/i.exec(String(value).trim()) ?? []
  if (digits === undefined) throw wrong(value, origin, 'a size such as 512kb, 64mb or 1gb')
  return Math.floor(Number(digits) * (sizeUnits[unit.toLowerCase()] ?? 1))
}

/** A whole number inside bounds. */
export function integer(value: unknown, origin: Origin, least: number, most: number): number {
  const text = String(value).trim()
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < least || number > most)
    throw wrong(value, origin, `a whole number from ${least} to ${most}`)
  return number
}

/** true, false, 1, 0, yes, no. */
export function boolean(value: unknown, origin: Origin): boolean {
  const text = String(value).trim().toLowerCase()
  if (['true', '1', 'yes'].includes(text)) return true
  if (['false', '0', 'no'].includes(text)) return false
  throw wrong(value, origin, 'true or false')
}

/** One of the listed words. */
export function choice<T extends string>(value: unknown, origin: Origin, words: readonly T[]): T {
  const word = words.find((candidate) => candidate === value)
  if (word === undefined) throw wrong(value, origin, `one of ${words.join(', ')}`)
  return word
}

/** Text that is not empty. */
export function text(value: unknown, origin: Origin): string {
  if (typeof value !== 'string' || value.trim() === '') throw wrong(value, origin, 'a text that is not empty')
  return value.trim()
}

/** A header's name. */
export function headerName(value: unknown, origin: Origin): string {
  if (typeof value !== 'string' || !/^[!#$%&'*+.^_`|~\w-]+$/.test(value))
    throw wrong(value, origin, 'the name of a header')
  return value.toLowerCase()
}

/** A list of words. */
export function list(value: unknown, origin: Origin): string[] {
  if (typeof value === 'string')
    return value
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '')
  if (Array.isArray(value) && value.every((word) => typeof word === 'string')) return [...value]
  throw wrong(value, origin, 'a list of words')
}

/** Refuses a value in one sentence; a URL's password is never repeated. */
function wrong(value: unknown, origin: Origin, wanted: string): UsageError {
  const shown = typeof value === 'string' ? `"${redacted(value)}"` : JSON.stringify(value)
  return new UsageError(`${origin} is ${shown} and must be ${wanted}.`)
}

/** Options of a store's URL that hold no secret and tell stores apart. */
const shownOptions = 'schema|prefix|waitReplicas|sslmode'

/**
 * A URL for people: without its password, up to the last @ whatever it holds, and of its query only what is known to be
 * no secret.
 */
export function redacted(url: string): string {
  return url
    .replace(/(:\/\/[^/@:]*):.*@/s, '$1:***@')
    .replace(new RegExp(`([?&](?!(?:${shownOptions})=)[^=&#]*)=[^&#]*`, 'g'), '$1=***')
    .slice(0, 200)
}
