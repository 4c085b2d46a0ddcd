/** The head of every answer to a covered request: the caller's own fields around what the upstream or the record says. */
import type { IdempotencyRecord } from '../core/record.ts'
import type { HttpCaller, WholeAnswer } from './caller.ts'
import { fieldNames, fieldValue, fieldValues, httpDate, type RawHeaders, withoutFields } from './headers.ts'

/** How an answer came about (http.md, Answers). */
export type AnswerStatus = 'executed' | 'replayed' | 'joined' | 'inferred' | 'ignored' | 'bypassed' | 'refused'

/** What the caller's request adds to every answer. */
export interface Echo {
  readonly key: string | undefined
  /** The wait that was applied, seconds. */
  readonly waitSeconds: number | undefined
}

/** The fields that this layer adds to an answer. */
export function ownFields(status: AnswerStatus, echo: Echo, record?: IdempotencyRecord): string[] {
  const fields: string[] = [fieldNames.status, status]
  if (status === 'replayed' || status === 'joined' || status === 'inferred') {
    fields.push(fieldNames.replayed, 'true', 'Cache-Control', 'no-store')
  }
  if (echo.key !== undefined) fields.push(fieldNames.key, echo.key)
  if (echo.waitSeconds !== undefined) fields.push(fieldNames.preferenceApplied, `wait=${echo.waitSeconds}`)
  if (record !== undefined && record.outcomeExpiresAt > 0) {
    fields.push(fieldNames.expires, httpDate(record.outcomeExpiresAt))
    if (status !== 'executed') fields.push(fieldNames.originalDate, httpDate(record.settledAt))
  }
  return fields
}

/** Sends a whole answer with the layer's own fields and its length, where the status has one. */
export function sendWhole(caller: HttpCaller, answer: WholeAnswer, own: readonly string[]): void {
  const { status, headers, body } = answer
  const known = status === 204 || status === 304 || fieldValue(headers, 'content-length') !== undefined
  caller.answer(
    status,
    known ? [...headers, ...own] : [...headers, ...own, 'Content-Length', String(body.length)],
    body,
  )
}

/** Does the caller take this content coding? Without `Accept-Encoding` only identity (http.md, Answers). */
function accepts(requestHeaders: RawHeaders, coding: string): boolean {
  const wanted = fieldValues(requestHeaders, 'accept-encoding').join(',').toLowerCase()
  let star = false
  for (const element of wanted.split(',')) {
    const [name = '', ...parameters] = element.split(';').map((part) => part.trim())
    const refused = parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
    if (name === coding || name === `x-${coding}`) return !refused
    if (name === '*') star = !refused
  }
  return star
}

/** The stored coding that this caller must have undone, or undefined. */
export function codingToUndo(requestHeaders: RawHeaders, stored: RawHeaders): string | undefined {
  const coding = fieldValue(stored, 'content-encoding')?.toLowerCase()
  if (coding === undefined || coding === 'identity') return undefined
  return accepts(requestHeaders, coding) ? undefined : coding
}

/** Fields that are no longer true of decoded bytes. */
export function withoutCoding(headers: RawHeaders): string[] {
  const stale = new Set([
    'content-encoding',
    'content-length',
    'content-md5',
    'digest',
    'content-digest',
    'repr-digest',
    'etag',
  ])
  return withoutFields(headers, (name) => stale.has(name))
}
