/** Declared retries of requests without a key: which execution a retry may adopt (http.md, Requests without a key). */
import type { StoreCalls } from '../core/calls.ts'
import type { RecordId } from '../core/key.ts'

/** Where one request's executions and retries find each other. */
export interface KeylessTicket {
  readonly listId: string
  /** The retry count the client declared; 0 for a first try, which always executes. */
  readonly count: number
}

/** How long after its start an operation may be adopted, and how long its outcome is kept. */
export const keylessWindowMs = 600_000

/** The operation a declared retry belongs to; undefined for a first try, or when there is none to adopt. */
export async function adopt(calls: StoreCalls, ticket: KeylessTicket, skewMs: number): Promise<RecordId | undefined> {
  if (ticket.count === 0) return undefined
  return (await calls.keyless({ kind: 'adopt', listId: ticket.listId, count: ticket.count, skewMs })).found
}

/** An execution begins that a later retry may adopt. */
export async function enter(calls: StoreCalls, ticket: KeylessTicket, recordId: RecordId): Promise<void> {
  await calls.keyless({
    kind: 'enter',
    listId: ticket.listId,
    count: ticket.count,
    recordId,
    windowMs: keylessWindowMs,
  })
}

/** The caller hung up before the answer's end was written. False if a retry has adopted the operation already. */
export async function leave(calls: StoreCalls, ticket: KeylessTicket, recordId: RecordId): Promise<boolean> {
  const step = { kind: 'leave', listId: ticket.listId, count: ticket.count, recordId } as const
  const answer = await calls.keyless(step).catch(() => undefined)
  return answer === undefined || answer.found !== undefined
}
