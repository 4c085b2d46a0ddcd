/** Stores that break one sentence of the contract each, as wrappers around one that keeps them all. */
import { unreadable } from '../../src/core/errors.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { KeylessAnswer } from '../../src/core/keyless.ts'
import type { Settlement, Store } from '../../src/core/store.ts'
import type { ManualClock } from '../../src/testing/index.ts'
import { altered } from './altered.ts'

/** What a defect has at hand. */
export interface Surroundings {
  readonly store: Store
  readonly clock: ManualClock
  /** Ids whose records cannot be read. */
  readonly damaged: ReadonlySet<string>
}

type Breaks = (surroundings: Surroundings) => Store

/** Keeps the contract; records that were damaged are rejected, as a store that cannot read them does. */
function none(store: Store, damaged: ReadonlySet<string>): Store {
  const sound = async <Answer>(ids: readonly string[], call: () => Promise<Answer>): Promise<Answer> => {
    if (ids.some((id) => damaged.has(id))) throw unreadable()
    return call()
  }
  const idsOf = (asks: readonly { readonly recordId: RecordId }[]) => asks.map((ask) => ask.recordId)
  return altered(store, {
    claim: (asks) => sound(idsOf(asks), () => store.claim(asks)),
    renew: (asks) => sound(idsOf(asks), () => store.renew(asks)),
    settle: (asks) => sound(idsOf(asks), () => store.settle(asks)),
    append: (asks) => sound(idsOf(asks), () => store.append(asks)),
    read: (ids) => sound(ids, () => store.read(ids)),
    readBody: (id, attemptId, offset) => sound([id], () => store.readBody(id, attemptId, offset)),
  })
}

async function recordOf(store: Store, id: RecordId) {
  return (await store.read([id]))[0]
}

/** A settlement in the name of whoever owns the record. */
async function asOwner(store: Store, asks: readonly Settlement[]): Promise<Settlement[]> {
  return Promise.all(
    asks.map(async (ask) => ({
      ...ask,
      attemptId: (await recordOf(store, ask.recordId))?.record?.attemptId ?? ask.attemptId,
    })),
  )
}

const clauses: Readonly<Record<string, Readonly<Record<string, Breaks>>>> = {
  S1: {
    'answers in another order': ({ store }) =>
      altered(store, { claim: async (asks) => [...(await store.claim(asks))].reverse() }),
    'takes equal ids from the end': ({ store }) =>
      altered(store, { settle: async (asks) => [...(await store.settle([...asks].reverse()))].reverse() }),
    'leaves out what it has answered before': ({ store }) =>
      altered(store, {
        append: async (asks) =>
          store.append(asks.filter((ask, at) => asks.findIndex((a) => a.recordId === ask.recordId) === at)),
      }),
  },
  S2: {
    'decides on what it has read some time ago': ({ store }) =>
      altered(store, {
        claim: async (asks) => {
          const before = await store.read(asks.map((ask) => ask.recordId))
          await Promise.resolve()
          const answers = await store.claim(asks)
          return answers.map((answer, at) =>
            before[at]?.record === undefined ? { kind: 'granted', by: 'claim', record: answer.record } : answer,
          )
        },
      }),
    'writes a list that it has read some time ago': ({ store }) => {
      let last = Promise.resolve()
      const entered = new Map<string, number>()
      return altered(store, {
        keyless: async (asks) => {
          const [ask] = asks
          if (ask?.kind !== 'enter') return store.keyless(asks)
          const atOnce = (entered.get(ask.listId) ?? 0) + 1
          entered.set(ask.listId, atOnce)
          last = last.then(() => Promise.resolve()).then(() => void entered.delete(ask.listId))
          return atOnce > 1 ? [{ found: undefined }] : store.keyless(asks)
        },
      })
    },
  },
  S3: {
    'knows no margin': ({ store }) =>
      altered(store, { claim: (asks) => store.claim(asks.map((ask) => ({ ...ask, skewMs: 0 }))) }),
  },
  S4: {
    'extends the lease of what it does not grant': ({ store }) =>
      altered(store, {
        claim: async (asks) => {
          const answers = await store.claim(asks)
          for (const [at, answer] of answers.entries()) {
            const ask = asks[at]
            if (answer.kind !== 'held' || ask === undefined) continue
            await store.renew([{ ...ask, attemptId: answer.record.attemptId }])
          }
          return answers
        },
      }),
    'answers with an empty time': ({ store }) =>
      altered(store, {
        claim: async (asks) =>
          (await store.claim(asks)).map((answer) =>
            answer.kind === 'held' ? { ...answer, nowMs: 0, leaseLeftMs: 0 } : answer,
          ),
      }),
  },
  S5: {
    'leaves bodies out': ({ store }) =>
      altered(store, {
        claim: async (asks) =>
          (await store.claim(asks)).map((answer) => {
            if (answer.kind !== 'held') return answer
            const { body: _, ...rest } = answer
            return rest
          }),
      }),
    'answers the last piece only': ({ store }) =>
      altered(store, {
        claim: async (asks) =>
          (await store.claim(asks)).map((answer) =>
            answer.kind === 'held' && answer.body !== undefined && answer.body.length > 2
              ? { ...answer, body: answer.body.subarray(2) }
              : answer,
          ),
      }),
  },
  S6: {
    'acknowledges a settle before it is written': ({ store }) =>
      altered(store, {
        settle: async (asks) => {
          const records = await store.read(asks.map((ask) => ask.recordId))
          void (async () => {
            for (let turn = 0; turn < 10; turn++) await Promise.resolve()
            await store.settle(asks).catch(() => {})
          })()
          return records.map(({ record }) =>
            record === undefined ? { kind: 'fenced', record } : { kind: 'recorded', record },
          )
        },
      }),
  },
  S7: {
    'refuses to renew a lapsed lease': ({ store }) =>
      altered(store, {
        renew: async (asks) => {
          const found = await store.read(asks.map((ask) => ask.recordId))
          if (found.some(({ leaseLeftMs }) => leaseLeftMs < 0))
            return asks.map(() => ({ kind: 'fenced', resolved: false }))
          return store.renew(asks)
        },
      }),
    'acknowledges a renewal and forgets it': ({ store }) =>
      altered(store, { renew: async (asks) => asks.map(() => ({ kind: 'renewed' })) }),
  },
  S8: {
    'takes a settle from anybody': ({ store }) =>
      altered(store, { settle: async (asks) => store.settle(await asOwner(store, asks)) }),
  },
  S9: {
    'refuses a settle it has recorded': ({ store }) =>
      altered(store, {
        settle: async (asks) =>
          (await store.settle(asks)).map((answer) =>
            answer.kind === 'already' ? { ...answer, kind: 'fenced' } : answer,
          ),
      }),
    'takes every repeated settle for the same': ({ store }) =>
      altered(store, {
        settle: async (asks) =>
          (await store.settle(asks)).map((answer) =>
            answer.kind === 'fenced' && answer.record?.state === 'completed'
              ? { kind: 'already', record: answer.record }
              : answer,
          ),
      }),
  },
  S10: {
    'closes gaps': ({ store }) =>
      altered(store, {
        append: async (asks) => {
          const found = await store.read(asks.map((ask) => ask.recordId))
          return store.append(
            asks.map((ask, at) => ({ ...ask, offset: Math.min(ask.offset, found[at]?.record?.bodyLength ?? 0) })),
          )
        },
      }),
    'does not compare what lies inside': ({ store }) =>
      altered(store, {
        append: async (asks) => {
          const found = await store.read(asks.map((ask) => ask.recordId))
          const answers = await store.append(asks)
          return answers.map((answer, at) => {
            const ask = asks[at]
            const inside = ask !== undefined && ask.offset + ask.bytes.length <= (found[at]?.record?.bodyLength ?? 0)
            return inside ? { kind: 'already' } : answer
          })
        },
      }),
  },
  S11: {
    'seals wherever the rest begins': ({ store }) =>
      altered(store, {
        settle: async (asks) => {
          const found = await store.read(asks.map((ask) => ask.recordId))
          return store.settle(
            asks.map((ask, at) =>
              ask.kind === 'completed'
                ? { ...ask, rest: { ...ask.rest, offset: found[at]?.record?.bodyLength ?? 0 } }
                : ask,
            ),
          )
        },
      }),
    'writes the rest before it seals': ({ store }) =>
      altered(store, {
        settle: async (asks) => {
          const rests = asks.flatMap((ask) =>
            ask.kind === 'completed' && ask.rest.bytes.length > 0 ? [{ ...ask, ...ask.rest }] : [],
          )
          await store.append(rests)
          await Promise.resolve()
          return store.settle(
            asks.map((ask) =>
              ask.kind === 'completed'
                ? { ...ask, rest: { offset: ask.rest.offset + ask.rest.bytes.length, bytes: new Uint8Array(0) } }
                : ask,
            ),
          )
        },
      }),
  },
  S12: {
    'keeps the bytes of a former attempt': ({ store }) => {
      const kept = new Map<RecordId, Uint8Array[]>()
      return altered(store, {
        append: async (asks) => {
          for (const { recordId, bytes } of asks) kept.set(recordId, [...(kept.get(recordId) ?? []), bytes])
          return store.append(asks)
        },
        readBody: async (id, attemptId, offset) => {
          const pieces = await store.readBody(id, attemptId, offset)
          return pieces.length === 0 && offset === 0 ? (kept.get(id) ?? []) : pieces
        },
      })
    },
  },
  S13: {
    'answers pieces in another order': ({ store }) =>
      altered(store, {
        readBody: async (id, attemptId, offset) => [...(await store.readBody(id, attemptId, offset))].reverse(),
      }),
    'begins at a piece and not at the offset': ({ store }) =>
      altered(store, {
        readBody: async (id, attemptId, offset) =>
          offset === 1 ? store.readBody(id, attemptId, 0) : store.readBody(id, attemptId, offset),
      }),
    'answers everything at once': ({ store }) =>
      altered(store, {
        readBody: async (id, attemptId, offset) => {
          const pieces: Uint8Array[] = []
          for (let at = offset; ; ) {
            const more = await store.readBody(id, attemptId, at)
            if (more.length === 0) return pieces
            pieces.push(...more)
            at += more.reduce((sum, piece) => sum + piece.length, 0)
          }
        },
      }),
  },
  S14: {
    'takes the fence from the wall clock': ({ store, clock }) =>
      altered(store, {
        claim: async (asks) =>
          (await store.claim(asks)).map((answer) =>
            answer.kind === 'granted'
              ? { ...answer, record: { ...answer.record, fence: clock.wallMs() * 1000 } }
              : answer,
          ),
      }),
    'counts fences from 1': ({ store }) =>
      altered(store, {
        claim: async (asks) =>
          (await store.claim(asks)).map((answer) =>
            answer.kind === 'granted'
              ? { ...answer, record: { ...answer.record, fence: answer.record.attempt } }
              : answer,
          ),
      }),
  },
  S15: {
    'lets running records expire by age': ({ store, clock }) =>
      altered(store, {
        read: async (ids) =>
          (await store.read(ids)).map((answer) => {
            const { record } = answer
            const old = record !== undefined && clock.wallMs() > record.createdAt + record.retentionMs
            return old && record.state === 'running' ? { ...answer, record: undefined } : answer
          }),
      }),
    'counts retention from the claim': ({ store, clock }) =>
      altered(store, {
        read: async (ids) =>
          (await store.read(ids)).map((answer) => {
            const { record } = answer
            const old = record !== undefined && clock.wallMs() > record.createdAt + record.retentionMs
            return old && record.state === 'completed' ? { ...answer, record: undefined } : answer
          }),
      }),
  },
  S16: {
    'sweeps everything at once': ({ store }) =>
      altered(store, { sweep: (_, skewMs) => store.sweep(Number.POSITIVE_INFINITY, skewMs) }),
    'stops after its first piece': ({ store }) =>
      altered(store, { sweep: async (limit, skewMs) => ({ ...(await store.sweep(limit, skewMs)), more: false }) }),
    'never comes to its end': ({ store }) =>
      altered(store, { sweep: async (limit, skewMs) => ({ ...(await store.sweep(limit, skewMs)), more: true }) }),
  },
  S17: {
    'overwrites what it holds': ({ store }) => altered(store, { meta: async (_, ifAbsent) => ifAbsent }),
  },
  S18: {
    'answers absent for what it cannot read': ({ store, damaged }) =>
      altered(store, {
        read: async (ids) => {
          const sound = ids.filter((id) => !damaged.has(id))
          const answers = await store.read(sound)
          return ids.map((id) => answers[sound.indexOf(id)] ?? { record: undefined, nowMs: 0, leaseLeftMs: 0 })
        },
      }),
    'fails all records of a call for one': ({ store, damaged }) =>
      altered(store, {
        claim: async (asks) => {
          if (asks.some((ask) => damaged.has(ask.recordId))) throw new Error('a record cannot be read')
          return store.claim(asks)
        },
      }),
  },
  S19: {
    'gives an entry to every retry': ({ store }) => {
      const found = new Map<string, RecordId>()
      return altered(store, {
        keyless: async (asks) =>
          (await store.keyless(asks)).map((answer, at) => {
            const ask = asks[at]
            if (ask?.kind !== 'adopt') return answer
            if (answer.found !== undefined) found.set(ask.listId, answer.found)
            return { found: found.get(ask.listId) }
          }),
      })
    },
    'answers steps of one call list by list': ({ store }) =>
      altered(store, {
        keyless: async (asks) => {
          const answers = await store.keyless(asks)
          const places = asks.map((ask, at) => ({ list: ask.listId, at }))
          const lists = [...new Set(places.map(({ list }) => list))]
          return lists.flatMap((list) =>
            places.filter((p) => p.list === list).map(({ at }) => answers[at] as KeylessAnswer),
          )
        },
      }),
    'forgets who has left': ({ store }) =>
      altered(store, {
        keyless: async (asks) => {
          const [ask] = asks
          if (ask?.kind === 'leave') return [{ found: ask.recordId as RecordId }]
          return store.keyless(asks)
        },
      }),
  },
  S20: {
    'purges for whoever asks': ({ store }) =>
      altered(store, {
        purge: async (asks) => {
          const found = await store.read(asks.map((ask) => ask.recordId))
          return store.purge(
            asks.map((ask, at) => ({ ...ask, expected: found[at]?.record?.attemptId ?? ask.expected })),
          )
        },
      }),
    'says so and purges nothing': ({ store }) =>
      altered(store, { purge: async (asks) => asks.map(() => ({ kind: 'purged' })) }),
    'forgets the fence of what it purges': ({ store }) => {
      const purged = new Set<string>()
      return altered(store, {
        purge: async (asks) => {
          for (const { recordId } of asks) purged.add(recordId)
          return store.purge(asks)
        },
        claim: async (asks) =>
          (await store.claim(asks)).map((answer, at) =>
            answer.kind === 'granted' && purged.has(asks[at]?.recordId ?? '')
              ? { ...answer, record: { ...answer.record, fence: 1 } }
              : answer,
          ),
      })
    },
  },
  S21: {
    'adds to what was counted': ({ store }) =>
      altered(store, {
        tally: async (tallies) => {
          const before = (await store.tallies(undefined)).tallies
          const added = tallies.map((tally) => {
            const held = before.find(({ name, writer }) => name === tally.name && writer === tally.writer)?.counts ?? {}
            const counts = Object.entries(tally.counts).map(([unit, count]) => [unit, (held[unit] ?? 0) + count])
            return { ...tally, counts: Object.fromEntries(counts) }
          })
          return store.tally(added)
        },
      }),
    'lets the last writer win': ({ store }) =>
      altered(store, { tally: async (tallies) => store.tally(tallies.map((one) => ({ ...one, writer: 'all' }))) }),
    'ends at its first page': ({ store }) =>
      altered(store, {
        tallies: async (cursor) => ({
          tallies: (await store.tallies(cursor)).tallies.slice(0, 500),
          cursor: undefined,
        }),
      }),
    'answers tallies of any name for those of a prefix': ({ store }) =>
      altered(store, { tallies: (cursor) => store.tallies(cursor) }),
    'takes the prefix for the name': ({ store }) =>
      altered(store, {
        tallies: async (cursor, prefix) => {
          const page = await store.tallies(cursor)
          return { ...page, tallies: page.tallies.filter(({ name }) => prefix === undefined || name === prefix) }
        },
      }),
  },
  S22: {
    'releases whatever is cancelled': ({ store }) =>
      altered(store, {
        resolve: (asks) =>
          store.resolve(asks.map((ask) => (ask.to === 'cancelled' ? { ...ask, to: 'released' } : ask))),
      }),
    'looks at the record before, and not in the same step': ({ store }) => {
      const seen = new Map<string, boolean>()
      return altered(store, {
        claim: async (asks) => {
          for (const { recordId } of asks) seen.set(recordId, false)
          return store.claim(asks)
        },
        resolve: (asks) =>
          store.resolve(
            asks.map((ask) =>
              ask.to === 'cancelled' && seen.get(ask.recordId) === false ? { ...ask, to: 'released' } : ask,
            ),
          ),
      })
    },
  },
  S23: {
    'forgets them when another attempt takes over': ({ store }) => {
      const stale = new Set<string>()
      return altered(store, {
        claim: async (asks) => {
          const answers = await store.claim(asks)
          for (const [at, answer] of answers.entries())
            if (answer.kind === 'granted' && answer.by !== 'claim') stale.add(asks[at]?.recordId ?? '')
          return answers
        },
        steps: async (id) => (stale.has(id) ? [] : store.steps(id)),
      })
    },
    'takes the word of an attempt that is over': ({ store }) =>
      altered(store, {
        settle: async (asks) => store.settle(asks[0]?.kind === 'step' ? await asOwner(store, asks) : asks),
      }),
    'keeps the first value': ({ store }) => {
      const first = new Map<string, Uint8Array>()
      return altered(store, {
        settle: (asks) =>
          store.settle(
            asks.map((ask) => {
              if (ask.kind !== 'step') return ask
              const key = `${ask.recordId} ${ask.name}`
              if (!first.has(key)) first.set(key, ask.value)
              return { ...ask, value: first.get(key) ?? ask.value }
            }),
          ),
      })
    },
    'keeps them after the outcome': ({ store }) => {
      const kept = new Map<string, Map<string, Uint8Array>>()
      return altered(store, {
        settle: async (asks) => {
          const answers = await store.settle(asks)
          for (const [at, ask] of asks.entries())
            if (ask.kind === 'step' && answers[at]?.kind === 'recorded')
              kept.set(ask.recordId, new Map(kept.get(ask.recordId)).set(ask.name, ask.value))
          return answers
        },
        steps: async (id) => [...(kept.get(id) ?? [])].map(([name, value]) => ({ name, value })),
      })
    },
  },
}

/** An intact store, and the broken ones by the sentence they break. */
export const defects: {
  readonly none: (store: Store, damaged: ReadonlySet<string>) => Store
  readonly clauses: typeof clauses
} = { none, clauses }
