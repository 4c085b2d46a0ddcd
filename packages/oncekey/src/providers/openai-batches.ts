/** OpenAI's batches: found by a member of their metadata, which lists show (npm package openai 7, `Batch.metadata`). */
import { foundAs, isListed, type Listed, listSince, parsed } from './listing.ts'
import type { Reconciler } from './reconcile.ts'

/** The member of the metadata that names the operation. */
const member = 'oncekey'
/** "Set of 16 key-value pairs that can be attached to an object" (the package's own words). */
const maxPairs = 16

/** `POST …/batches`. */
export const openaiBatches: Reconciler = {
  mark(body, name) {
    const batch = parsed(body)
    const { metadata = {} } = batch ?? {}
    const given = metadata === null ? {} : metadata
    if (batch === undefined || !isListed(given)) return undefined
    if (Object.keys(given).length >= maxPairs || Object.hasOwn(given, member)) return undefined
    // Read and written again, a number of so many digits could reach the provider as another one.
    if (/\d{16}/.test(new TextDecoder().decode(body))) return undefined
    return new TextEncoder().encode(JSON.stringify({ ...batch, metadata: { ...given, [member]: name } }))
  },

  async find({ name, body, sinceMs }, get) {
    if (this.mark?.(body, name) === undefined) {
      return { kind: 'unknowable', why: 'Its metadata had no room for a name by which it could be found' }
    }
    const createdMs = (item: Listed): number | undefined =>
      typeof item['created_at'] === 'number' ? item['created_at'] * 1000 : undefined
    const list = await listSince(get, { after: 'after', createdMs }, sinceMs)
    if (list.kind === 'unclear') return list
    const item = list.items.find(({ metadata }) => isListed(metadata) && metadata[member] === name)
    return item === undefined ? { kind: 'absent' } : foundAs(item)
  },
}
