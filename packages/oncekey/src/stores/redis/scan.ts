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

/** Keys that one SCAN looks at, about. */
const lookAt = 500

/** Where a scan goes on: in which primary, at which cursor of its, after how many keys of what that answers. */
interface Place {
  readonly primary: number
  readonly cursor: string
  readonly skip: number
}

/** One page. A record that is written meanwhile may come twice or, if it is new, not at all: SCAN promises no more. */
export async function scanPage(
  { wire, runner, keys }: ScanParts,
  cursor: string | undefined,
  filter: { readonly state?: RecordState; readonly limit: number },
): Promise<ScanPage> {
  const entries: { recordId: RecordId; record: IdempotencyRecord }[] = []
  let place = placeOf(cursor)
  const primaries = await wire.primaries()
  for (let primary = primaries[place.primary]; primary !== undefined; primary = primaries[place.primary]) {
    const command = ['SCAN', place.cursor, 'MATCH', keys.pattern, 'COUNT', String(lookAt)] as const
    const page = pageOf((await primary.send([command]))[0])
    const found = await recordsOf(runner, page.keys.slice(place.skip))
    for (const [at, record] of found.entries()) {
      if (record === undefined || (filter.state ?? record.state) !== record.state) continue
      const recordId = keys.idOf(page.keys[place.skip + at] as string)
      if (entries.length === filter.limit) return { entries, cursor: textOfPlace({ ...place, skip: place.skip + at }) }
      entries.push({ recordId, record })
    }
    const over = page.cursor === '0'
    place = { primary: place.primary + (over ? 1 : 0), cursor: page.cursor, skip: 0 }
  }
  return { entries, cursor: undefined }
}

async function recordsOf(runner: Runner, keys: readonly string[]): Promise<(IdempotencyRecord | undefined)[]> {
  const replies = await runner.plain(keys.map((key) => ({ key, command: ['HMGET', key, 'g', 'h'] })))
  return replies.map((reply) => {
    if (reply instanceof Error) throw refusal(reply)
    const [guards, head] = reply as readonly unknown[]
    return guards instanceof Uint8Array ? recordOf(guards, head) : undefined
  })
}

function textOfPlace({ primary, cursor, skip }: Place): string {
  return `${primary} ${cursor} ${skip}`
}

function placeOf(cursor: string | undefined): Place {
  const [primary = '0', at = '0', skip = '0'] = cursor?.split(' ') ?? []
  return { primary: Number(primary), cursor: at, skip: Number(skip) }
}
