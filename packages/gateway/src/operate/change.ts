/** What an operator changes: a question first, the store's own guard, and a line for the audit. */
import { type Engine, keyIdOf } from 'oncekey/http'
import type { AttemptId, IdempotencyRecord, RecordId, ResolveRequest } from 'oncekey/store'
import type { GivenOutcome } from './outcome.ts'

/** Who asks, where questions go and audit lines are written. */
export interface Operator {
  /** As the audit names him. */
  readonly who: string
  /** True when the operator agreed. */
  agrees(question: string): Promise<boolean>
  audit(line: string): void
}

/** A record as it was read; a change is refused when it has moved on since. */
export interface Found {
  readonly recordId: RecordId
  readonly record: IdempotencyRecord
}

/** What is to become of it. */
export type Change =
  | { readonly to: 'released' }
  | { readonly to: 'completed'; readonly outcome: GivenOutcome }
  /** Only of what runs: by its policy it may execute again, or its outcome is unknown. */
  | { readonly to: 'cancelled' }

const actions = { released: 'release', completed: 'resolve', cancelled: 'cancel' } as const

/** `declined`: the operator said no. `moved`: the record is another one by now, or settled. */
export type Changed =
  | { readonly kind: 'changed'; readonly record: IdempotencyRecord }
  | { readonly kind: 'declined' }
  | { readonly kind: 'moved'; readonly record: IdempotencyRecord | undefined }

/**
 * Ends a record that is running or unknown (T8), once the operator has agreed. Its owner, if it still runs, learns it at
 * its next renewal.
 */
export async function change(engine: Engine, found: Found, to: Change, operator: Operator): Promise<Changed> {
  const { recordId, record } = found
  const isOpen = record.state === 'running' || (record.state === 'unknown' && to.to !== 'cancelled')
  if (!isOpen) return { kind: 'moved', record }
  if (!(await operator.agrees(question(found, to)))) return { kind: 'declined' }
  const { calls, random } = engine
  const fresh = Buffer.from(random.bytes(16)).toString('base64url') as AttemptId
  const ask: ResolveRequest = { recordId, expected: record.attemptId, fresh, ...to }
  const [answer] = await calls.within('resolve', calls.store.resolve([ask]))
  if (answer === undefined || answer.kind === 'fenced') return { kind: 'moved', record: answer?.record }
  operator.audit(
    auditLine(operator.who, {
      action: actions[to.to],
      recordId,
      attempt: record.attempt,
      from: record.state,
      to: answer.record.state,
    }),
  )
  return { kind: 'changed', record: answer.record }
}

/**
 * The id of a key that the store's outcomes are encrypted with, by this record or a page of others; undefined where they
 * are in clear. For somebody without the keys, who would otherwise write among them what anybody can read.
 */
export async function keyInUse({ calls }: Engine, record: IdempotencyRecord): Promise<string | undefined> {
  const { entries } = await calls.within('scan', calls.store.scan(undefined, { limit: 500 }))
  for (const { head } of [record, ...entries.map((entry) => entry.record)]) {
    const id = head === undefined ? undefined : keyIdOf(head)
    if (id !== undefined) return id
  }
  return undefined
}

/** Removes a record that has ended, and its outcome, once the operator has agreed. */
export async function purge(engine: Engine, found: Found, operator: Operator): Promise<Changed['kind']> {
  const { recordId, record } = found
  if (record.state === 'running') return 'moved'
  const gone = `Record ${recordId} is ${record.state}. Remove it and its outcome for good? The next request with its key executes.`
  if (!(await operator.agrees(gone))) return 'declined'
  const { calls } = engine
  const [answer] = await calls.within('purge', calls.store.purge([{ recordId, expected: record.attemptId }]))
  if (answer?.kind !== 'purged') return 'moved'
  const { attempt, state } = record
  operator.audit(auditLine(operator.who, { action: 'purge', recordId, attempt, from: state, to: 'absent' }))
  return 'changed'
}

/** One JSON line on who did what and when. */
export function auditLine(who: string, done: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ audit: 'oncekey', at: new Date().toISOString(), who, ...done })
}

function question({ recordId, record }: Found, { to }: Change): string {
  const since = new Date(record.state === 'running' ? record.createdAt : record.settledAt).toISOString()
  const is = `Record ${recordId} is ${record.state} since ${since}.`
  const owner = record.state === 'running' ? ' Its owner may still be at work, and its answer will be refused.' : ''
  const then = {
    released: 'Release it? The next request with its key executes, and may do and pay for it a second time.',
    completed: 'Record the given outcome? Every retry gets it from now on, and it cannot be changed.',
    cancelled:
      record.onAbandoned === 'reexecute'
        ? 'Stop it? Its caller gets no answer, and the next request with its key executes.'
        : 'Stop it? Its caller gets no answer, and its outcome is unknown unless nothing was sent yet.',
  }[to]
  return `${is}${owner} ${then}`
}
