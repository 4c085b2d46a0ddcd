/** Records by id, and page by page in the order of their ids. Neither writes nor locks anything. */
import { unreadable } from '../../core/errors.ts'
import type { RecordId } from '../../core/key.ts'
import type { RecordState } from '../../core/record.ts'
import type { ReadAnswer, ScanPage } from '../../core/store.ts'
import { inOrder, type Port } from './asks.ts'
import type { Cell } from './database.ts'
import { recordOf } from './rows.ts'

/** One answer an id, in order. `LATERAL … LIMIT 1`: never a join of the whole table, whatever the statistics say. */
export async function read(port: Port, recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
  const text = `SELECT q.n - 1, ${port.schema}.clock_us() / 1000, r.*
    FROM json_array_elements_text($1::text::json) WITH ORDINALITY q (id, n)
    LEFT JOIN LATERAL (
      SELECT ${port.schema}.record_text(r), encode(head, 'hex'), format FROM ${port.schema}.records r WHERE r.id = q.id LIMIT 1
    ) r ON true`
  const rows = await port.query(text, [JSON.stringify(recordIds)])
  return inOrder(recordIds.length, rows, ([, now, joined, head, format]) => {
    const record = known(format, joined, head)
    const nowMs = Number(now)
    return { record, nowMs, leaseLeftMs: record === undefined ? 0 : record.leaseUntil - nowMs }
  })
}

/** A page of records; the cursor is the last id of the page before. */
export async function scan(
  port: Port,
  cursor: string | undefined,
  filter: { readonly state?: RecordState; readonly limit: number },
): Promise<ScanPage> {
  const text = `SELECT r.id, ${port.schema}.record_text(r), encode(head, 'hex'), format FROM ${port.schema}.records r
    WHERE r.id > $1::text AND ($2::text = '' OR r.state = $2::text) ORDER BY r.id LIMIT $3::int`
  const rows = await port.query(text, [cursor ?? '', filter.state ?? '', filter.limit + 1])
  const entries = rows.slice(0, filter.limit).flatMap(([id, joined, head, format]) => {
    const record = known(format, joined, head)
    return record === undefined ? [] : [{ recordId: id as RecordId, record }]
  })
  return { entries, cursor: rows.length > filter.limit ? entries.at(-1)?.recordId : undefined }
}

function known(format: Cell | undefined, joined: Cell | undefined, head: Cell | undefined): ReadAnswer['record'] {
  if (format !== null && format !== '1') throw unreadable()
  return recordOf(joined, head)
}
