/** Keyless lists, meta values, purges and the sweeper: one function each (migrations/0001 tells how they work). */
import { unreadable } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'
import type { KeylessAnswer } from '../../core/keyless.ts'
import type { KeylessRequest, PurgeAnswer, PurgeRequest, SweepReport } from '../../core/store.ts'
import { inOrder, type Port } from './asks.ts'
import { bytesOf } from './rows.ts'

/** One answer a step, in order. */
export async function keyless(port: Port, requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
  const asks = requests.map((ask, at) => ({
    at,
    list_id: ask.listId,
    kind: ask.kind,
    count: ask.count,
    ...(ask.kind !== 'adopt' && { record_id: ask.recordId }),
    ...(ask.kind === 'enter' && { window_ms: Math.ceil(ask.windowMs) }),
    ...(ask.kind === 'adopt' && { skew_ms: Math.ceil(ask.skewMs) }),
  }))
  const text = `SELECT "at", found_id FROM ${port.schema}.keyless($1::text::json)`
  const rows = await port.query(text, [JSON.stringify(asks)])
  return inOrder(requests.length, rows, ([, found]) => ({ found: (found ?? undefined) as RecordId | undefined }))
}

/** Writes a value once if absent; answers the one that is held (S17). */
export async function meta(port: Port, name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
  const text = `SELECT encode(${port.schema}.meta($1::text, $2::bytea), 'hex')`
  const [row] = await port.query(text, [name, ifAbsent])
  const held = bytesOf(row?.[0])
  if (held === undefined) throw unreadable()
  return held
}

/** One answer a request, in order. */
export async function purge(port: Port, requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]> {
  const asks = requests.map(({ recordId, expected }, at) => ({ at, id: recordId, expected }))
  const rows = await port.query(`SELECT "at", kind FROM ${port.schema}.purge($1::text::json)`, [JSON.stringify(asks)])
  return inOrder(requests.length, rows, ([, kind]) => ({ kind: kind as PurgeAnswer['kind'] }))
}

/** One piece of the sweep, one transaction. */
export async function sweep(port: Port, limit: number, skewMs: number): Promise<SweepReport> {
  const text = `SELECT abandoned, expired, purged, released, more FROM ${port.schema}.sweep($1::int, $2::bigint)`
  const [row] = await port.query(text, [limit, Math.ceil(skewMs)])
  const [abandoned, expired, purged, released] = (row ?? []).map(Number)
  return {
    abandoned: abandoned ?? 0,
    expired: expired ?? 0,
    purged: purged ?? 0,
    released: released ?? 0,
    more: row?.[4] === 't',
  }
}
