/** What all processes have counted, added up by whatever an operator asks for. */
import type { Store } from 'oncekey/store'
import { add, type Counts, keyOf, type RowKey } from './row.ts'

/** What lines can be told apart by. */
export const dimensions = ['day', 'tenant', 'upstream', 'route', 'model'] as const
/** One of them. */
export type Dimension = (typeof dimensions)[number]

/** Which rows, and by what they are told apart. */
export interface Question {
  readonly by: readonly Dimension[]
  /** First and last day, UTC, both included. */
  readonly since?: string
  readonly until?: string
  readonly tenant?: string
}

/** A line: the dimensions that were asked for, and what it comes to. */
export interface Line {
  readonly of: Readonly<Partial<Record<Dimension, string>>>
  readonly counts: Counts
}

/** Lines in the order of their names, and all of them together. */
export async function summarise(
  store: Pick<Store, 'tallies'>,
  question: Question,
): Promise<{ readonly lines: readonly Line[]; readonly total: Counts }> {
  const newest = new Map<string, { readonly key: RowKey; readonly counts: Counts }>()
  let cursor: string | undefined
  do {
    const page = await store.tallies(cursor)
    for (const { name, writer, counts } of page.tallies) {
      const key = keyOf(name)
      // A store may show an entry twice while it is written; it is the same one, and must not be added twice.
      if (key !== undefined && isWanted(key, question)) newest.set(JSON.stringify([name, writer]), { key, counts })
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  const lines = new Map<string, Line>()
  const total: Counts = {}
  for (const { key, counts } of newest.values()) {
    const of = Object.fromEntries(question.by.map((dimension) => [dimension, key[dimension]]))
    const id = JSON.stringify(Object.values(of))
    const line = lines.get(id) ?? { of, counts: {} }
    lines.set(id, line)
    add(line.counts, counts)
    add(total, counts)
  }
  return { lines: [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line), total }
}

function isWanted(key: RowKey, { since, until, tenant }: Question): boolean {
  if (since !== undefined && key.day < since) return false
  if (until !== undefined && key.day > until) return false
  return tenant === undefined || key.tenant === tenant
}

/** What was spared in all, and of it what no price is known of. */
export function saved(counts: Counts): { readonly nanodollars: number; readonly unpriced: number } {
  const of = (end: 'Nanodollars' | 'Unpriced'): number =>
    (['replayed', 'joined', 'drained', 'resumed'] as const).reduce((sum, how) => sum + (counts[`${how}${end}`] ?? 0), 0)
  return { nanodollars: of('Nanodollars'), unpriced: of('Unpriced') }
}
