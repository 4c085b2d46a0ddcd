/** A record as bytes: fixed numbers first, then short texts, then head and body; the first byte is the format. */

import { unreadable } from './errors.ts'
import type { Fingerprint } from './fingerprint.ts'
import type { AttemptId, IdempotencyRecord, OnAbandoned, OutcomeKind, RecordState } from './record.ts'

/** What a store keeps in one entry. */
export interface EncodedRecord {
  readonly record: IdempotencyRecord
  /** The clock that `leaseUntil` was read from; a lease of another epoch is over. */
  readonly leaseEpoch: string
  /** The whole body where it is small and came with the settle. */
  readonly body: Uint8Array | undefined
}

/** The format that this version writes. */
const format = 1

const states: readonly RecordState[] = ['running', 'completed', 'released', 'unknown', 'expired']
const policies: readonly OnAbandoned[] = ['unknown', 'reexecute', 'reconcile', 'resume']
const outcomes: readonly (OutcomeKind | undefined)[] = [undefined, 'value', 'response', 'error', 'omitted']
const flag = { dispatched: 1, dropped: 2, recovering: 4, resolved: 8, head: 16, body: 32, steps: 64 } as const

/** In the order in which they are written, 8 bytes each, from byte 8. */
const numbers = [
  'fence',
  'leaseUntil',
  'bodyLength',
  'retryAt',
  'createdAt',
  'settledAt',
  'outcomeExpiresAt',
  'tombstoneExpiresAt',
  'retentionMs',
  'tombstoneMs',
] as const
const numbersAt = 8
const attemptAt = numbersAt + 8 * numbers.length
const headLengthAt = attemptAt + 4
const textsAt = headLengthAt + 4

/** Encodes a record into what `allocate` gives for a length; texts are ASCII of at most 255 characters. */
export function encodeRecord<Bytes extends Uint8Array>(
  { record, leaseEpoch, body }: EncodedRecord,
  allocate: (length: number) => Bytes,
): Bytes {
  const texts = [record.attemptId, record.fingerprint, record.rawFingerprint, record.outcomeDigest, leaseEpoch]
  let length = textsAt
  for (const text of texts) length += 1 + text.length
  const head = record.head
  const bytes = allocate(length + (head?.length ?? 0) + (body?.length ?? 0))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  bytes[0] = format
  bytes[1] = states.indexOf(record.state)
  bytes[2] = policies.indexOf(record.onAbandoned)
  bytes[3] =
    (record.dispatched ? flag.dispatched : 0) |
    (record.dropped ? flag.dropped : 0) |
    (record.recovering ? flag.recovering : 0) |
    (record.resolved ? flag.resolved : 0) |
    (record.steps ? flag.steps : 0) |
    (head === undefined ? 0 : flag.head) |
    (body === undefined ? 0 : flag.body)
  bytes[4] = outcomes.indexOf(record.outcome)
  bytes.fill(0, 5, numbersAt)
  for (let at = 0; at < numbers.length; at++) view.setFloat64(numbersAt + 8 * at, record[numbers[at] as 'fence'])
  view.setUint32(attemptAt, record.attempt)
  view.setUint32(headLengthAt, head?.length ?? 0)
  let at = textsAt
  for (const text of texts) {
    bytes[at++] = text.length
    for (let index = 0; index < text.length; index++) bytes[at++] = text.charCodeAt(index)
  }
  if (head !== undefined) bytes.set(head, at)
  if (body !== undefined) bytes.set(body, at + (head?.length ?? 0))
  return bytes
}

/**
 * The reverse. Head and body are views of `bytes`; with `lasts` false the head is a copy, for bytes that the next read
 * overwrites. Another format is `store_unavailable`, never absent.
 */
export function decodeRecord(bytes: Uint8Array, lasts = true): EncodedRecord {
  const state = states[bytes[1] ?? 255]
  const onAbandoned = policies[bytes[2] ?? 255]
  if (bytes[0] !== format || bytes.length < textsAt || state === undefined || onAbandoned === undefined)
    throw unreadable()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const number = (index: number): number => view.getFloat64(numbersAt + 8 * index)
  const flags = bytes[3] ?? 0
  let at = textsAt
  const text = (): string => {
    const from = at + 1
    at = from + (bytes[at] ?? 0)
    return asciiAt(bytes, from, at)
  }
  const attemptId = text() as AttemptId
  const fingerprint = text() as Fingerprint
  const rawFingerprint = text() as Fingerprint | ''
  const outcomeDigest = text()
  const leaseEpoch = text()
  const bodyAt = at + view.getUint32(headLengthAt)
  if (bodyAt > bytes.length) throw unreadable()
  const head = (flags & flag.head) === 0 ? undefined : bytes.subarray(at, bodyAt)
  const record: IdempotencyRecord = {
    state,
    attemptId,
    fence: number(0),
    attempt: view.getUint32(attemptAt),
    leaseUntil: number(1),
    onAbandoned,
    dispatched: (flags & flag.dispatched) !== 0,
    dropped: (flags & flag.dropped) !== 0,
    recovering: (flags & flag.recovering) !== 0,
    resolved: (flags & flag.resolved) !== 0,
    steps: (flags & flag.steps) !== 0,
    fingerprint,
    rawFingerprint,
    head: lasts || head === undefined ? head : new Uint8Array(head),
    bodyLength: number(2),
    outcome: outcomes[bytes[4] ?? 0],
    outcomeDigest,
    retryAt: number(3),
    createdAt: number(4),
    settledAt: number(5),
    outcomeExpiresAt: number(6),
    tombstoneExpiresAt: number(7),
    retentionMs: number(8),
    tombstoneMs: number(9),
  }
  return { record, leaseEpoch, body: (flags & flag.body) === 0 ? undefined : bytes.subarray(bodyAt) }
}

/** Eight characters a call: half the time of one a call, and no chain of strings for the garbage collector. */
function asciiAt(bytes: Uint8Array, from: number, until: number): string {
  let text = ''
  let at = from
  for (; at + 8 <= until; at += 8) {
    text += String.fromCharCode(
      bytes[at] as number,
      bytes[at + 1] as number,
      bytes[at + 2] as number,
      bytes[at + 3] as number,
      bytes[at + 4] as number,
      bytes[at + 5] as number,
      bytes[at + 6] as number,
      bytes[at + 7] as number,
    )
  }
  for (; at < until; at++) text += String.fromCharCode(bytes[at] as number)
  return text
}
