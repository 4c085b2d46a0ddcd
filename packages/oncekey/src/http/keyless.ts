/** Declared retries of requests without a key: which execution a retry may adopt (http.md, Requests without a key). */
import { withinBudget } from '../core/budget.ts'
import type { Engine } from '../core/engine.ts'
import type { RecordId } from '../core/key.ts'

/** Where one request's executions and retries find each other. */
export interface KeylessTicket {
  readonly listId: string
  /** The retry count the client declared; 0 for a first try, which always executes. */
  readonly count: number
}

/** How long after its start an operation may be adopted, and how long its outcome is kept. */
export const keylessWindowMs = 600_000

/**
 * The operation a declared retry belongs to; undefined for a first try, or when there is none to adopt. Throws
 * `store_unavailable`.
 */
export async function adopt(engine: Engine, ticket: KeylessTicket, skewMs: number): Promise<RecordId | undefined> {
  const { listId, count } = ticket
  if (count === 0) return undefined
  return (await withinBudget(engine, () => engine.calls.keyless({ kind: 'adopt', listId, count, skewMs }))).found
}

/** An execution begins that a later retry may adopt. Answers the id it is to run under; throws `store_unavailable`. */
export function enter(engine: Engine, ticket: KeylessTicket): Promise<RecordId> {
  return withinBudget(engine, async () => {
    // A new one for each try: an entry of a try whose answer was lost is then nobody's, and never adopted.
    const recordId = engine.digest.sha256(engine.random.bytes(32)) as RecordId
    await engine.calls.keyless({ kind: 'enter', ...ticket, recordId, windowMs: keylessWindowMs })
    return recordId
  })
}

/** What became of a caller's place. */
export type Left = 'left' | 'adopted' | 'unsure'

/**
 * The caller hung up before the answer's end was written. `adopted` if a retry has the operation already; `unsure` if the
 * store is away, and then it is told as soon as it is back.
 */
export async function leave(engine: Engine, ticket: KeylessTicket, recordId: RecordId): Promise<Left> {
  const tell = () => engine.calls.keyless({ kind: 'leave', ...ticket, recordId })
  try {
    return (await tell()).found === undefined ? 'adopted' : 'left'
  } catch {
    withinBudget(engine, tell).catch(() => undefined)
    return 'unsure'
  }
}
