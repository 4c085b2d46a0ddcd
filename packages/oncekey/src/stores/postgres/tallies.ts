/** Tallies in PostgreSQL: plain statements, for a row has one writer and no guard. */
import type { Tally, TallyPage } from '../../core/store.ts'
import type { Port } from './asks.ts'

/** How many rows make a page. */
const pageRows = 1_000

/** Replaces or removes, in one transaction. */
export async function putTallies({ query, schema }: Port, tallies: readonly Tally[]): Promise<void> {
  // Were one entry there twice, the statement would be refused; the later one counts.
  const last = new Map(tallies.map((tally) => [JSON.stringify([tally.name, tally.writer]), tally]))
  const text = `WITH given AS (
      SELECT * FROM jsonb_to_recordset($1::text::jsonb) AS given (name text, writer text, counts jsonb)
    ), removed AS (
      DELETE FROM ${schema}.tallies t USING given g
      WHERE t.name = g.name AND t.writer = g.writer AND g.counts = '{}'
    )
    INSERT INTO ${schema}.tallies AS t (name, writer, counts)
    SELECT name, writer, counts FROM given WHERE counts <> '{}' ORDER BY name, writer
    ON CONFLICT (name, writer) DO UPDATE SET counts = excluded.counts`
  await query(text, [JSON.stringify([...last.values()])])
}

/** A page in the order of the keys; the cursor is the last key of the page before. A prefix is a range of the index. */
export async function tallyPage({ query, schema }: Port, cursor: string | undefined, prefix = ''): Promise<TallyPage> {
  const [name, writer] = cursor === undefined ? [prefix, ''] : (JSON.parse(cursor) as [string, string])
  const behind = prefix === '' ? [] : [next(prefix)]
  const text = `SELECT name, writer, counts::text FROM ${schema}.tallies
    WHERE (name, writer) > ($1::text, $2::text) ${prefix === '' ? '' : 'AND name < $3::text'}
    ORDER BY name, writer LIMIT ${pageRows}`
  const rows = await query(text, [name, writer, ...behind])
  const tallies = rows.map(
    (row): Tally => ({
      name: String(row[0]),
      writer: String(row[1]),
      counts: JSON.parse(String(row[2])),
    }),
  )
  const last = tallies.at(-1)
  const more = last !== undefined && tallies.length === pageRows
  return { tallies, cursor: more ? JSON.stringify([last.name, last.writer]) : undefined }
}

/** The first text behind all that begin with this one; ASCII, so that a database of any encoding can read it. */
function next(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}
