/**
 * Anthropic's message batches. They have no metadata: what tells one from another are the `custom_id`s of its requests,
 * and those are shown by its results, once it has ended (npm package @anthropic-ai/sdk 1, `MessageBatch`). So this holds
 * only for clients whose ids are never used by two batches; a route that reconciles says that they are (docs/guide/long-work.md).
 */
import { foundAs, isListed, type Listed, listSince, parsed } from './listing.ts'
import type { Found, Get, Reconciler } from './reconcile.ts'

/** `POST …/messages/batches`. */
export const anthropicBatches: Reconciler = {
  async find({ body, sinceMs }, get) {
    const wanted = customIds(parsed(body)?.['requests'])
    if (wanted === undefined)
      return { kind: 'unknowable', why: 'Its requests have no custom_id by which it could be found' }
    const createdMs = (item: Listed): number | undefined => {
      const ms = Date.parse(String(item['created_at']))
      return Number.isNaN(ms) ? undefined : ms
    }
    const list = await listSince(get, { after: 'after_id', createdMs }, sinceMs)
    if (list.kind === 'unclear') return list
    const candidates = list.items.filter((item) => countOf(item) === wanted.size)
    if (candidates.length === 0) return { kind: 'absent' }
    if (candidates.some((item) => item['processing_status'] !== 'ended')) {
      return {
        kind: 'unclear',
        why: 'A batch of the same size is there, and which one it is shows only when it has ended',
      }
    }
    return among(candidates, wanted, get)
  },
}

async function among(candidates: readonly Listed[], wanted: ReadonlySet<string>, get: Get): Promise<Found> {
  const same: Listed[] = []
  for (const item of candidates) {
    const results = await get(`/${encodeURIComponent(String(item['id']))}/results`, {})
    if (results === undefined || results.status !== 200) {
      return { kind: 'unclear', why: 'The results of a batch of the same size could not be read' }
    }
    if (hasIds(results.body, wanted)) same.push(item)
  }
  const [only, ...others] = same
  if (only === undefined) return { kind: 'absent' }
  return others.length === 0
    ? foundAs(only)
    : { kind: 'unknowable', why: 'There are several batches of these requests' }
}

function customIds(requests: unknown): ReadonlySet<string> | undefined {
  if (!Array.isArray(requests) || requests.length === 0) return undefined
  const ids = requests.map((request: unknown) => (isListed(request) ? request['custom_id'] : undefined))
  return ids.every((id) => typeof id === 'string') ? new Set(ids as string[]) : undefined
}

function countOf({ request_counts: counts }: Listed): number {
  if (!isListed(counts)) return -1
  return Object.values(counts).reduce<number>((sum, count) => sum + (typeof count === 'number' ? count : 0), 0)
}

/** Are the lines' ids exactly these? */
function hasIds(results: Uint8Array, wanted: ReadonlySet<string>): boolean {
  const seen = new Set<string>()
  for (const line of new TextDecoder().decode(results).split('\n')) {
    if (line.trim() === '') continue
    const id = parsed(new TextEncoder().encode(line))?.['custom_id']
    if (typeof id !== 'string' || !wanted.has(id)) return false
    seen.add(id)
  }
  return seen.size === wanted.size
}
