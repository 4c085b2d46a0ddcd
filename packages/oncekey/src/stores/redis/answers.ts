/** The scripts' answers, as the port has them. */
import { decodeRecord } from '../../core/encoding.ts'
import type { IdempotencyRecord } from '../../core/record.ts'
import type { ClaimAnswer, GrantedBy, KeptStep, ReadAnswer, RenewAnswer, SettleAnswer } from '../../core/store.ts'
import { failure } from './refusals.ts'
import type { Reply } from './wire.ts'

/** What a script on a record said. */
interface Said {
  readonly kind: string
  readonly nowMs: number
  readonly record: IdempotencyRecord | undefined
  readonly body: Uint8Array | undefined
}

function said(reply: Reply): Said {
  const [kind, nowMs, guards, head, body] = reply as readonly unknown[]
  return {
    kind: textOf(kind),
    nowMs: nowMs as number,
    record: guards instanceof Uint8Array ? recordOf(guards, head) : undefined,
    body: body instanceof Uint8Array ? body : undefined,
  }
}

/** A record from its two fields. Throws `store_unavailable` for a format that this version cannot read. */
export function recordOf(guards: Uint8Array, head: unknown): IdempotencyRecord {
  const { record } = decodeRecord(guards)
  if (head instanceof Uint8Array) (record as { head: Uint8Array | undefined }).head = head
  return record
}

/** A text; ASCII. */
export function textOf(reply: Reply): string {
  return reply instanceof Buffer ? reply.toString('latin1') : String(reply)
}

/** Of `claim`. */
export function claimAnswer(reply: Reply): ClaimAnswer {
  const { kind, nowMs, record, body } = said(reply)
  if (record === undefined) throw unexpected(kind)
  if (kind === 'yours' || kind === 'mismatch') return { kind, record }
  if (kind !== 'held') return { kind: 'granted', by: kind as GrantedBy, record }
  const held = { kind, record, nowMs, leaseLeftMs: record.leaseUntil - nowMs } as const
  return body === undefined ? held : { ...held, body }
}

/** Of `renew`. */
export function renewAnswer(reply: Reply): RenewAnswer {
  const kind = textOf(reply)
  return kind === 'renewed' || kind === 'unknown' ? { kind } : { kind: 'fenced', resolved: kind === 'resolved' }
}

/** Of `settle` and `resolve`. */
export function settleAnswer(reply: Reply): SettleAnswer {
  const { kind, record } = said(reply)
  if (kind === 'fenced') return { kind, record }
  if (record === undefined) throw unexpected(kind)
  return { kind: kind === 'already' ? kind : 'recorded', record }
}

/** Of `look`. */
export function readAnswer(reply: Reply): ReadAnswer {
  const { nowMs, record } = said(reply)
  return { record, nowMs, leaseLeftMs: record === undefined ? 0 : record.leaseUntil - nowMs }
}

/** Of `steps`. */
export function stepsAnswer(reply: Reply): readonly KeptStep[] {
  const all = reply as readonly Reply[]
  return all.flatMap((value, at) =>
    at % 2 === 1 && value instanceof Uint8Array ? [{ name: textOf(all[at - 1]), value }] : [],
  )
}

function unexpected(kind: string): Error {
  return failure(
    `Redis answered a script with "${kind}" and no record. Is something else between, that changes answers?`,
  )
}
