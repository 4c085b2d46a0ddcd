/** Pages of records by SCAN, over each primary in turn. */
import type { RecordId } from '../../core/key.ts'
import type { IdempotencyRecord, RecordState } from '../../core/record.ts'
import type { ScanPage } from '../../core/store.ts'
import { recordOf } from './answers.ts'
import type { Keys } from './keys.ts'
import { refusal } from './refusals.ts'
import type { Runner } from './run.ts'
import { pageOf } from './sweep.ts'
import type { Wire } from './wire.ts'

/** What a scan needs of its store. */
export interface ScanParts {
  readonly wire: Wire
  readonly runner: Runner
  readonly keys: Keys
}

/** Least that one SCAN looks at; a cursor may have to carry about as many ids. */
const lookAt = 32

/**
 * One page, maybe a short one. A record that is written meanwhile may come twice or, if it is new, not at all: SCAN
 * promises no more. What SCAN answered beyond the page goes along in the cursor: asked again it may answer in another
 * order, for Redis rearranges its tables in the background.
 */
export async function scanPage(
  { wire, runner, keys }: ScanParts,
  after: string | undefined,
  { state, limit }: { readonly state?: RecordState; readonly limit: number },
): Promise<ScanPage> {
  const entries: { recordId: RecordId; record: IdempotencyRecord }[] = []
  const primaries = await wire.primaries()
  let { primary, cursor, rest } = placeOf(after)
  for (;;) {
    const ids = rest.slice(0, limit - entries.length)
    rest = rest.slice(ids.length)
    for (const [at, record] of (await recordsOf(runner, ids.map(keys.record))).entries()) {
      if (record !== undefined && (state ?? record.state) === record.state)
        entries.push({ recordId: ids[at] as RecordId, record })
    }
    const next = primaries[primary]
    if (rest.length === 0 && next === undefined) return { entries, cursor: undefined }
    if (entries.length * 2 >= limit) return { entries, cursor: [primary, cursor, ...rest].join(' ') }
    if (rest.length > 0 || next === undefined) continue
    const count = String(Math.max(lookAt, limit - entries.length))
    const [reply] = await next.send([['SCAN', cursor, 'MATCH', keys.pattern, 'COUNT', count]])
    const page = pageOf(reply)
    rest = page.keys.map(keys.idOf)
    cursor = page.cursor
    if (cursor === '0') primary += 1
  }
}

/** Where a scan goes on: in which primary, at which cursor of its, and the ids that were left over. */
function placeOf(text = '0 0'): { primary: number; cursor: string; rest: readonly string[] } {
  const [primary, cursor = '0', ...rest] = text.split(' ')
  return { primary: Number(primary), cursor, rest }
}

async function recordsOf(runner: Runner, keys: readonly string[]): Promise<(IdempotencyRecord | undefined)[]> {
  const replies = await runner.plain(keys.map((key) => ({ key, command: ['HMGET', key, 'g', 'h'] })))
  return replies.map((reply) => {
    if (reply instanceof Error) throw refusal(reply)
    const [guards, head] = reply as readonly unknown[]
    return guards instanceof Uint8Array ? recordOf(guards, head) : undefined
  })
}
