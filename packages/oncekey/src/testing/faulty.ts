/** A store whose calls fail as a test says: before they happen, after they happened, never, or twice. */
import type { Store } from '../core/store.ts'

/** The calls of the port that a fault can hit. */
export type FaultyCall =
  | 'claim'
  | 'renew'
  | 'settle'
  | 'append'
  | 'read'
  | 'readBody'
  | 'steps'
  | 'keyless'
  | 'resolve'
  | 'purge'
  | 'sweep'
  | 'meta'
  | 'tally'

/**
 * `fail`: rejected, nothing happened. `lose`: it happened, the answer is lost. `hang`: nothing happened and no answer
 * ever comes. `twice`: it happens twice, as with a duplicated message; the second answer is given. A promise: it is late,
 * and happens once the promise has resolved.
 */
export type Fault = 'fail' | 'lose' | 'hang' | 'twice' | Promise<unknown> | undefined

/** A store behind a plan of faults, and how often each call was made. */
export interface FaultyStore extends Store {
  readonly calls: Readonly<Record<FaultyCall, number>>
}

/** Wraps a store. `plan` is asked for each call with its number, from 1, and its arguments. */
export function faultyStore(
  store: Store,
  plan: (call: FaultyCall, count: number, ...args: readonly unknown[]) => Fault,
): FaultyStore {
  const calls: Record<FaultyCall, number> = {
    claim: 0,
    renew: 0,
    settle: 0,
    append: 0,
    read: 0,
    readBody: 0,
    steps: 0,
    keyless: 0,
    resolve: 0,
    purge: 0,
    sweep: 0,
    meta: 0,
    tally: 0,
  }
  const wrap = <Args extends readonly unknown[], Answer>(
    call: FaultyCall,
    real: (...args: Args) => Promise<Answer>,
  ) => {
    return async (...args: Args): Promise<Answer> => {
      calls[call] += 1
      const fault = plan(call, calls[call], ...args)
      if (fault === 'fail') throw new Error(`${call} failed, as planned`)
      if (fault === 'hang') return new Promise<never>(() => undefined)
      if (fault instanceof Promise) await fault
      const answer = await real(...args)
      if (fault === 'lose') throw new Error(`the answer of ${call} was lost, as planned`)
      return fault === 'twice' ? real(...args) : answer
    }
  }
  return {
    capabilities: store.capabilities,
    calls,
    claim: wrap('claim', (asks) => store.claim(asks)),
    renew: wrap('renew', (asks) => store.renew(asks)),
    settle: wrap('settle', (asks) => store.settle(asks)),
    append: wrap('append', (asks) => store.append(asks)),
    read: wrap('read', (ids) => store.read(ids)),
    readBody: wrap('readBody', (id, attemptId, offset) => store.readBody(id, attemptId, offset)),
    steps: wrap('steps', (id) => store.steps(id)),
    keyless: wrap('keyless', (asks) => store.keyless(asks)),
    resolve: wrap('resolve', (asks) => store.resolve(asks)),
    purge: wrap('purge', (asks) => store.purge(asks)),
    sweep: wrap('sweep', (limit, skewMs) => store.sweep(limit, skewMs)),
    meta: wrap('meta', (name, ifAbsent) => store.meta(name, ifAbsent)),
    tally: wrap('tally', (tallies) => store.tally(tallies)),
    tallies: (cursor, prefix) => store.tallies(cursor, prefix),
    scan: (cursor, filter) => store.scan(cursor, filter),
    diagnose: () => store.diagnose(),
    ...(store.watch === undefined ? {} : { watch: (id, onHint) => store.watch?.(id, onHint) ?? (() => undefined) }),
    close: () => store.close(),
  }
}
