/** Settles, progress and resolutions, as one call of `settle` or `resolve` (migrations/0001/settle.ts tells how). */
import { IdempotencyError, unreadable } from '../../core/errors.ts'
import { inlineBodyBytes, type ResolveRequest, type SettleAnswer, type Settlement } from '../../core/store.ts'
import { apart, inOrder, type Port } from './asks.ts'
import { Blob } from './blob.ts'
import type { Cell } from './database.ts'
import { recordOf } from './rows.ts'

const columns = `"at", kind, record, encode(head, 'hex')`

/** One answer a settlement, in order. */
export async function settle(port: Port, settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
  const blob = new Blob()
  const { single, repeated } = apart(settlements.map((ask) => ask.recordId))
  const whole: unknown[] = []
  const others: unknown[] = repeated.map((at) => parameters(settlements[at] as Settlement, at, blob))
  for (const at of single) {
    const ask = settlements[at] as Settlement
    ;(isWhole(ask) ? whole : others).push(parameters(ask, at, blob))
  }
  const text = `SELECT ${columns}
    FROM ${port.schema}.settle($1::text::json, $2::text::json, $3::bytea, ${port.durable})`
  const rows = await port.query(text, [JSON.stringify(whole), JSON.stringify(others), blob.bytes()])
  return inOrder(settlements.length, rows, answerOf)
}

/**
 * Settles inside a transaction of the user's own, so that his rows and the outcome land together or not at all. Throws
 * `superseded` unless this very call recorded it: then he must roll back, for the record has another outcome, or this one
 * with the rows of a former try.
 */
export async function settleIn(port: Port, settlement: Settlement): Promise<SettleAnswer> {
  const [answer] = await settle(port, [settlement])
  if (answer?.kind === 'recorded') return answer
  const why = answer?.kind === 'already' ? 'recorded by a former transaction' : 'owned by another attempt now, or over'
  const sentence = `The operation is ${why}. Roll this transaction back: nothing of it may be kept.`
  throw new IdempotencyError('superseded', sentence, { recordId: settlement.recordId })
}

/** One answer a resolution, in order. */
export async function resolve(port: Port, requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
  const blob = new Blob()
  const asks = requests.map(({ recordId, expected, fresh, to, outcome }, at) => ({
    at,
    id: recordId,
    expected,
    fresh,
    target: to,
    outcome: outcome?.kind,
    ...(outcome && { head_at: blob.add(outcome.head), head_length: outcome.head.length }),
    ...(outcome && { body_at: blob.add(outcome.body), body_length: outcome.body.length }),
  }))
  const text = `SELECT ${columns} FROM ${port.schema}.resolve($1::text::json, $2::bytea, ${port.durable})`
  const rows = await port.query(text, [JSON.stringify(asks), blob.bytes()])
  return inOrder(requests.length, rows, answerOf)
}

/** A completed outcome with its whole body in one small piece. */
function isWhole(ask: Settlement): boolean {
  if (ask.kind !== 'completed' || ask.outcome === 'omitted') return false
  return ask.rest.offset === 0 && ask.rest.bytes.length <= inlineBodyBytes
}

function parameters(ask: Settlement, at: number, blob: Blob): unknown {
  const ids = { at, id: ask.recordId, attempt_id: ask.attemptId, kind: ask.kind }
  switch (ask.kind) {
    case 'dispatched':
    case 'dropped':
      return ids
    case 'head':
      return { ...ids, head_at: blob.add(ask.head), head_length: ask.head.length }
    case 'released':
      return { ...ids, digest: ask.digest, retry_after_ms: Math.ceil(ask.retryAfterMs) }
    case 'unknown':
      return { ...ids, digest: ask.digest }
    case 'step':
      return { ...ids, name: ask.name, rest_at: blob.add(ask.value), rest_length: ask.value.length }
    case 'completed': {
      // Nothing of an omitted outcome's body is kept, whatever came with it.
      const rest = ask.outcome === 'omitted' ? new Uint8Array(0) : ask.rest.bytes
      return {
        ...ids,
        outcome: ask.outcome,
        digest: ask.digest,
        head_at: blob.add(ask.head),
        head_length: ask.head.length,
        rest_offset: ask.rest.offset,
        rest_at: blob.add(rest),
        rest_length: rest.length,
      }
    }
  }
}

function answerOf([, kind, joined, head]: readonly Cell[]): SettleAnswer {
  const record = recordOf(joined, head)
  if (kind === 'fenced') return { kind, record }
  if (record === undefined || (kind !== 'recorded' && kind !== 'already')) throw unreadable()
  return { kind, record }
}
