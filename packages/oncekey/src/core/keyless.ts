/** Which running or settled operation a declared retry without a key belongs to: one atomic step on a short list. */
import type { RecordId } from './key.ts'

/** One operation that ran without a key, as its list remembers it. */
export interface KeylessEntry {
  readonly recordId: RecordId
  /** The highest retry count that has been given this operation. */
  readonly count: number
  /** Epoch ms on the store's wall clock; later it can no longer be adopted. */
  readonly expiresAt: number
  /** Its caller hung up before the answer's end was written. */
  readonly left: boolean
}

/** A step: an execution enters, its caller leaves, or a declared retry asks to adopt. */
export type KeylessCommand =
  | { readonly kind: 'enter'; readonly recordId: RecordId; readonly count: number; readonly windowMs: number }
  | { readonly kind: 'leave'; readonly recordId: RecordId; readonly count: number }
  | { readonly kind: 'adopt'; readonly count: number; readonly skewMs: number }

/**
 * What a step found. `adopt`: the operation, or none and the retry executes as new. `leave`: the operation if it is
 * still the leaving caller's, none if a retry has adopted it.
 */
export interface KeylessAnswer {
  readonly found: RecordId | undefined
}

/** Most operations one fingerprint's list remembers; the oldest go first. */
const maxEntries = 1000

/**
 * One step on one list. `ownerGone` tells whether a record is running with its lease over: its caller cannot have
 * left in a way anybody could record. An adopted entry takes the new count and counts as attended again, so that one
 * lost attempt goes to one retry.
 */
export function keylessStep(
  list: readonly KeylessEntry[],
  command: KeylessCommand,
  nowMs: number,
  ownerGone: (recordId: RecordId) => boolean,
): { readonly list: readonly KeylessEntry[]; readonly answer: KeylessAnswer } {
  if (command.kind === 'leave') {
    // A caller that was adopted from meanwhile no longer speaks for the entry: its count is lower.
    const index = list.findIndex((e) => e.recordId === command.recordId && e.count === command.count)
    const own = list[index]
    if (own === undefined) return { list, answer: { found: undefined } }
    return { list: own.left ? list : list.with(index, { ...own, left: true }), answer: { found: own.recordId } }
  }
  const fresh = unexpired(list, nowMs)
  if (command.kind === 'enter') {
    const entry = { recordId: command.recordId, count: command.count, expiresAt: nowMs + command.windowMs, left: false }
    return { list: [...fresh, entry].slice(-maxEntries), answer: { found: undefined } }
  }
  const index = fresh.findIndex((e) => e.count < command.count && (e.left || ownerGone(e.recordId)))
  const found = fresh[index]
  if (found === undefined) return { list: fresh, answer: { found: undefined } }
  const taken = { ...found, count: command.count, left: false }
  return { list: fresh.with(index, taken), answer: { found: found.recordId } }
}

/**
 * Takes requests list by list, all lists at once: `onList` answers for one list in order. Hundreds of equal wishes at once
 * are one write, where one write each would lose its race against all the others.
 */
export async function byList<Request extends { readonly listId: string }>(
  requests: readonly Request[],
  onList: (listId: string, requests: readonly Request[]) => Promise<readonly KeylessAnswer[]>,
): Promise<readonly KeylessAnswer[]> {
  const places = new Map<string, number[]>()
  for (const [at, { listId }] of requests.entries()) {
    const known = places.get(listId)
    if (known === undefined) places.set(listId, [at])
    else known.push(at)
  }
  const answers: KeylessAnswer[] = new Array(requests.length)
  const work = [...places].map(async ([listId, own]) => {
    const found = await onList(
      listId,
      own.map((at) => requests[at] as Request),
    )
    for (const [index, at] of own.entries()) answers[at] = found[index] as KeylessAnswer
  })
  // One list that fails fails the call; what was begun beside it is not left unheard.
  for (const ended of await Promise.allSettled(work)) if (ended.status === 'rejected') throw ended.reason
  return answers
}

/** Steps on one list, one after another. A list that none of them changed is answered as it was. */
export function keylessSteps(
  list: readonly KeylessEntry[],
  commands: readonly KeylessCommand[],
  nowMs: number,
  ownerGone: (recordId: RecordId, command: KeylessCommand) => boolean,
): { readonly list: readonly KeylessEntry[]; readonly answers: readonly KeylessAnswer[] } {
  const answers: KeylessAnswer[] = []
  let current = list
  for (const command of commands) {
    const step = keylessStep(current, command, nowMs, (id) => ownerGone(id, command))
    current = step.list
    answers.push(step.answer)
  }
  return { list: current, answers }
}

/** The entries that can still be adopted; a store drops an empty list. */
export function unexpired(list: readonly KeylessEntry[], nowMs: number): readonly KeylessEntry[] {
  return list.filter((entry) => nowMs <= entry.expiresAt)
}
