/** A store that does one thing otherwise. */
import type { Store } from '../../src/core/store.ts'

/** The store with some of its calls replaced. */
export function altered(store: Store, calls: Partial<Store>): Store {
  const bound: Store = {
    capabilities: store.capabilities,
    claim: (asks) => store.claim(asks),
    renew: (asks) => store.renew(asks),
    settle: (asks) => store.settle(asks),
    append: (asks) => store.append(asks),
    read: (ids) => store.read(ids),
    readBody: (id, attemptId, offset) => store.readBody(id, attemptId, offset),
    steps: (id) => store.steps(id),
    keyless: (asks) => store.keyless(asks),
    resolve: (asks) => store.resolve(asks),
    purge: (asks) => store.purge(asks),
    scan: (cursor, filter) => store.scan(cursor, filter),
    sweep: (limit, skewMs) => store.sweep(limit, skewMs),
    meta: (name, ifAbsent) => store.meta(name, ifAbsent),
    tally: (tallies) => store.tally(tallies),
    tallies: (cursor, prefix) => store.tallies(cursor, prefix),
    diagnose: () => store.diagnose(),
    close: () => store.close(),
  }
  return { ...bound, ...calls }
}
