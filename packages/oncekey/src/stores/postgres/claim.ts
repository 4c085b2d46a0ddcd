/** Claims, as one call of the function `claim` (migrations/0001/claim.ts tells how it decides, and what it costs). */
import { IdempotencyError, unreadable } from '../../core/errors.ts'
import * as reducer from '../../core/reducer.ts'
import type { ClaimAnswer, ClaimRequest, GrantedBy } from '../../core/store.ts'
import { apart, inOrder, type Port } from './asks.ts'
import type { Cell } from './database.ts'
import { bytesOf, recordOf } from './rows.ts'

/** One answer a request, in order. */
export async function claim(port: Port, requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
  const asks = requests.map(rounded)
  const { single, repeated } = apart(asks.map((ask) => ask.recordId))
  const text = `SELECT "at", kind, now_ms, fence, record, encode(head, 'hex'), encode(body, 'hex')
    FROM ${port.schema}.claim($1::text::json, $2::text::json, ${port.durable})`
  const list = (places: readonly number[]): string =>
    JSON.stringify(places.map((at) => parameters(asks[at] as ClaimRequest, at)))
  const rows = await port.query(text, [list(single), list(repeated)])
  return inOrder(asks.length, rows, (row, at) => answerOf(asks[at] as ClaimRequest, row))
}

/** Times are whole milliseconds in the database. Rounding up is the safe side of each. */
function rounded(ask: ClaimRequest): ClaimRequest {
  const { leaseMs, skewMs, retentionMs, tombstoneMs } = ask
  if ([leaseMs, skewMs, retentionMs, tombstoneMs].every(Number.isInteger)) return ask
  return {
    ...ask,
    leaseMs: Math.ceil(leaseMs),
    skewMs: Math.ceil(skewMs),
    retentionMs: Math.ceil(retentionMs),
    tombstoneMs: Math.ceil(tombstoneMs),
  }
}

function parameters(ask: ClaimRequest, at: number): unknown {
  return {
    at,
    id: ask.recordId,
    attempt_id: ask.attemptId,
    fingerprint: ask.fingerprint,
    raw_fingerprint: ask.rawFingerprint,
    on_abandoned: ask.onAbandoned,
    lease_ms: ask.leaseMs,
    skew_ms: ask.skewMs,
    retention_ms: ask.retentionMs,
    tombstone_ms: ask.tombstoneMs,
  }
}

function answerOf(ask: ClaimRequest, [, kind, now, fence, joined, head, body]: readonly Cell[]): ClaimAnswer {
  const nowMs = Number(now)
  // A first grant is what was asked, the time and the fence: the reducer makes the record of them.
  if (kind === 'claim') {
    return reducer.claim(undefined, ask, { wallMs: nowMs, leaseMs: nowMs, fenceFloor: Number(fence) - 1 }).answer
  }
  const record = recordOf(joined, head)
  if (record === undefined) throw unreadable()
  switch (kind) {
    case 'takeover':
    case 'retry':
    case 'claim_over':
      return { kind: 'granted', by: kind satisfies GrantedBy, record }
    case 'yours':
    case 'mismatch':
      return { kind, record }
    case 'held': {
      const held = { kind, record, nowMs, leaseLeftMs: record.leaseUntil - nowMs } as const
      const bytes = bytesOf(body)
      return bytes === undefined ? held : { ...held, body: bytes }
    }
    default:
      throw new IdempotencyError('internal', `PostgreSQL answered a claim with ${kind}. Please report this as a bug.`)
  }
}
