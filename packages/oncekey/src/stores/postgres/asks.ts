/** An array of entries as the functions take it: JSON, each with its place, and repeated ids apart. */
import { IdempotencyError } from '../../core/errors.ts'
import type { Cell, Query } from './database.ts'

/** Where the functions are, and how an answer is asked for. */
export interface Port {
  readonly query: Query
  /** The schema as an SQL identifier. */
  readonly schema: string
  /** False where the user has allowed what was acknowledged to be lost. */
  readonly durable: boolean
}

/** The places of entries whose id comes once, and of those whose id comes again and again. */
export function apart(ids: readonly string[]): {
  readonly single: readonly number[]
  readonly repeated: readonly number[]
} {
  const places = ids.map((_, at) => at)
  if (new Set(ids).size === ids.length) return { single: places, repeated: [] }
  const times = new Map<string, number>()
  for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1)
  return {
    single: places.filter((at) => times.get(ids[at] as string) === 1),
    repeated: places.filter((at) => times.get(ids[at] as string) !== 1),
  }
}

/** Puts rows, which begin with the place of their entry and come in any order, into the order of the entries. */
export function inOrder<Answer>(
  length: number,
  rows: readonly Cell[][],
  answerOf: (row: readonly Cell[], at: number) => Answer,
): Answer[] {
  const answers: Answer[] = new Array(length)
  for (const row of rows) {
    const at = Number(row[0])
    answers[at] = answerOf(row, at)
  }
  if (rows.length !== length) {
    throw new IdempotencyError(
      'store_unavailable',
      `PostgreSQL answered ${rows.length} of ${length} entries. Please report this as a bug.`,
    )
  }
  return answers
}
