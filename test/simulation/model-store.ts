/** A store on the reducer's rules, or on broken ones, that tells who was granted what. */
import type { RecordId } from '../../packages/oncekey/src/core/key.ts'
import type { IdempotencyRecord } from '../../packages/oncekey/src/core/record.ts'
import type * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import { inlineBodyBytes, type Store } from '../../packages/oncekey/src/core/store.ts'
import type { Rules } from './world.ts'

/** What the store hears of a grant. */
export type Granted = (recordId: RecordId, record: IdempotencyRecord, by: string) => void

interface Entry {
  readonly record: IdempotencyRecord
  readonly body: Uint8Array
}

/** Records in a Map, one atomic step an entry. Bodies are kept whole; keyless lists are not simulated. */
export function modelStore(rules: Rules, time: () => Omit<reducer.StoreTime, 'fenceFloor'>, granted: Granted): Store {
  const entries = new Map<RecordId, Entry>()
  const metas = new Map<string, Uint8Array>()
  let fenceFloor = 0
  const now = (): reducer.StoreTime => ({ ...time(), fenceFloor })

  function step<A>(id: RecordId, decide: (record: IdempotencyRecord | undefined) => reducer.Reduction<A>): A {
    const entry = entries.get(id)
    const { record, answer, drop, write } = decide(entry?.record)
    if (record === undefined) {
      fenceFloor = Math.max(fenceFloor, entry?.record.fence ?? 0)
      entries.delete(id)
    } else if (record !== entry?.record) {
      const kept = drop === undefined ? (entry?.body ?? new Uint8Array(0)) : new Uint8Array(0)
      entries.set(id, { record, body: write === undefined ? kept : joined(kept, write.bytes) })
    }
    return answer
  }

  return {
    capabilities: {
      name: 'model',
      clock: 'store',
      durability: 'disk',
      hints: false,
      multiProcess: true,
      transactional: false,
    },
    claim: async (asks) =>
      asks.map((ask) => {
        const answer = step(ask.recordId, (record) => rules.claim(record, ask, now()))
        if (answer.kind === 'granted') granted(ask.recordId, answer.record, answer.by)
        const body = entries.get(ask.recordId)?.body
        const small = body !== undefined && body.length <= inlineBodyBytes
        return answer.kind === 'held' && answer.record.state === 'completed' && small ? { ...answer, body } : answer
      }),
    renew: async (asks) => asks.map((ask) => step(ask.recordId, (record) => rules.renew(record, ask, now()))),
    settle: async (asks) => asks.map((ask) => step(ask.recordId, (record) => rules.settle(record, ask, now()))),
    append: async () => {
      throw new Error('streams are not simulated')
    },
    read: async (ids) =>
      ids.map((id) => {
        const record = entries.get(id)?.record
        const { wallMs, leaseMs } = now()
        return { record, nowMs: wallMs, leaseLeftMs: record === undefined ? 0 : record.leaseUntil - leaseMs }
      }),
    readBody: async (id, _, offset) => [entries.get(id)?.body.subarray(offset) ?? new Uint8Array(0)],
    steps: async () => {
      throw new Error('steps are not simulated')
    },
    keyless: async () => {
      throw new Error('keyless lists are not simulated')
    },
    resolve: async (asks) => asks.map((ask) => step(ask.recordId, (record) => rules.resolve(record, ask, now()))),
    purge: async () => {
      throw new Error('an operator purges nothing here')
    },
    scan: async () => ({
      entries: [...entries].map(([recordId, { record }]) => ({ recordId, record })),
      cursor: undefined,
    }),
    sweep: async (_, skewMs) => {
      const report = { abandoned: 0, expired: 0, purged: 0, released: 0, more: false }
      for (const [id, { record }] of [...entries]) {
        const answer = step(id, () => rules.sweep(record, skewMs, now()))
        if (answer !== 'kept') report[answer] += 1
      }
      return report
    },
    meta: async (name, ifAbsent) => {
      const held = metas.get(name) ?? ifAbsent
      metas.set(name, held)
      return held
    },
    tally: async () => {
      throw new Error('nothing is counted here')
    },
    tallies: async () => ({ tallies: [], cursor: undefined }),
    diagnose: async () => [],
    close: async () => undefined,
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
