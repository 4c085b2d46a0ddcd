/** Walks a provider's list of objects, newest first, as far back as is of interest. */
import type { Found, Get } from './reconcile.ts'

/** An object as it was listed. */
export type Listed = Readonly<Record<string, unknown>>

/** How a list is paged. */
export interface Paging {
  /** The query parameter that goes on behind an object. */
  readonly after: string
  /** When an object was made, epoch ms; undefined where it does not say. */
  readonly createdMs: (item: Listed) => number | undefined
}

/** A clock of a provider that differs from ours by more than this would be a scandal. */
const slackMs = 600_000
/** So many objects can be made meanwhile before we give up. */
const maxPages = 100

/** All objects made since; or why they cannot be had. */
export async function listSince(
  get: Get,
  { after, createdMs }: Paging,
  sinceMs: number,
): Promise<{ readonly kind: 'listed'; readonly items: readonly Listed[] } | Unclear> {
  const items: Listed[] = []
  let cursor: string | undefined
  let newestMs = Number.POSITIVE_INFINITY
  const isRecent = (item: Listed): boolean => (createdMs(item) ?? sinceMs) >= sinceMs - slackMs
  for (let pages = 0; pages < maxPages; pages++) {
    const answer = await get('', { limit: '100', ...(cursor === undefined ? {} : { [after]: cursor }) })
    if (answer === undefined) return unclear('it did not answer')
    if (answer.status !== 200) return unclear(`it answered ${answer.status}`)
    const page = parsed(answer.body)
    const data = Array.isArray(page?.['data']) ? page['data'].filter(isListed) : undefined
    if (data === undefined) return unclear('its list cannot be read')
    // Only a list that goes back in time tells by its dates that the rest is older.
    let goesBack = true
    for (const item of data) {
      items.push(item)
      const ms = createdMs(item)
      if (ms === undefined || ms > newestMs) goesBack = false
      else newestMs = ms
    }
    const last = data.at(-1)?.['id']
    const isLast = page?.['has_more'] !== true || typeof last !== 'string'
    if (isLast || (goesBack && newestMs < sinceMs - slackMs)) return { kind: 'listed', items: items.filter(isRecent) }
    cursor = last
  }
  return unclear('its list is too long')
}

type Unclear = { readonly kind: 'unclear'; readonly why: string }

function unclear(why: string): Unclear {
  return { kind: 'unclear', why: `The provider was asked what it has made, and ${why}` }
}

/** A JSON object, or undefined. */
export function parsed(body: Uint8Array): Listed | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body))
    return isListed(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Is it an object with members? */
export function isListed(value: unknown): value is Listed {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object as the answer that its creation would have got. */
export function foundAs(item: Listed): Found {
  return { kind: 'found', body: new TextEncoder().encode(JSON.stringify(item)) }
}
