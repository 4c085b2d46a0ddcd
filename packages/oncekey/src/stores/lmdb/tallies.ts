/** Tallies in LMDB: an entry a name and writer, which only that writer replaces. */
import type { Tally, TallyPage } from '../../core/store.ts'
import { type Environment, failed, firstRevision, type Key, keys } from './environment.ts'

/** How many entries make a page. */
const pageEntries = 500

/** Replaces or removes; resolves when all of it is on the disk. */
export async function putTallies(environment: Environment, tallies: readonly Tally[]): Promise<void> {
  const written = tallies.map(({ name, writer, counts }) => {
    const key = keys.tally(name, writer)
    if (Object.keys(counts).length === 0) return environment.remove(key)
    return environment.put(key, Buffer.from(JSON.stringify(counts)), firstRevision())
  })
  await Promise.all(written).catch(failed)
}

/** A page; the cursor is the last key of the page before. A prefix is a range of keys. */
export function tallyPage(environment: Environment, cursor: string | undefined, prefix = ''): TallyPage {
  environment.resetReadTxn()
  const after = cursor === undefined ? undefined : (JSON.parse(cursor) as Key)
  const start = after ?? keys.tally(prefix, '')
  const range = environment.getRange({ start, end: keys.tally(`${prefix}\uffff`, ''), limit: pageEntries + 1 })
  const tallies: Tally[] = []
  let last: Key | undefined
  for (const { key, value } of range) {
    if (after !== undefined && JSON.stringify(key) === cursor) continue
    if (tallies.length === pageEntries) return { tallies, cursor: JSON.stringify(last) }
    const [, name, writer] = key as string[]
    tallies.push({ name: String(name), writer: String(writer), counts: JSON.parse(value.toString()) })
    last = key
  }
  return { tallies, cursor: tallies.length === pageEntries ? JSON.stringify(last) : undefined }
}
