/** Bodies: pieces appended under the record's row lock, and read back from any offset. */
import type { RecordId } from '../../core/key.ts'
import type { AttemptId } from '../../core/record.ts'
import type { AppendAnswer, AppendRequest, KeptStep } from '../../core/store.ts'
import { inOrder, type Port } from './asks.ts'
import { Blob } from './blob.ts'
import { bytesOf } from './rows.ts'

/** One answer a piece, in order. */
export async function append(port: Port, requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
  const blob = new Blob()
  const asks = requests.map(({ recordId, attemptId, offset, bytes }, at) => ({
    at,
    id: recordId,
    attempt_id: attemptId,
    start: offset,
    bytes_at: blob.add(bytes),
    bytes_length: bytes.length,
  }))
  const text = `SELECT "at", kind FROM ${port.schema}.append($1::text::json, $2::bytea)`
  const rows = await port.query(text, [JSON.stringify(asks), blob.bytes()])
  return inOrder(requests.length, rows, ([, kind]) => ({ kind }) as AppendAnswer)
}

/** What the steps of a record have made, in no promised order. */
export async function steps(port: Port, recordId: RecordId): Promise<readonly KeptStep[]> {
  const text = `SELECT s.name, encode(s.value, 'hex') FROM ${port.schema}.steps s WHERE s.record_id = $1::text`
  const rows = await port.query(text, [recordId])
  return rows.map(([name, value]) => ({ name: name ?? '', value: bytesOf(value) ?? new Uint8Array(0) }))
}

/** About 1 MiB of an attempt's body at most, as one piece; nothing where there is none. */
export async function readBody(
  port: Port,
  recordId: RecordId,
  attemptId: AttemptId,
  offset: number,
): Promise<readonly Uint8Array[]> {
  const text = `SELECT encode(piece, 'hex') FROM ${port.schema}.read_body($1::text, $2::text, $3::bigint)`
  const [row] = await port.query(text, [recordId, attemptId, offset])
  const piece = bytesOf(row?.[0])
  return piece === undefined || piece.length === 0 ? [] : [piece]
}
