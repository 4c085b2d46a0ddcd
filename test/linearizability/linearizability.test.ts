/** What clients hear of a record could have come from one after another: on every store, and not on a broken one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import type { Store } from '../../packages/oncekey/src/core/store.ts'
import { lmdbStore } from '../../packages/oncekey/src/stores/lmdb/index.ts'
import { memoryStore } from '../../packages/oncekey/src/stores/memory.ts'
import { migrate, postgresStore } from '../../packages/oncekey/src/stores/postgres/index.ts'
import { redisStore } from '../../packages/oncekey/src/stores/redis/index.ts'
import { altered } from '../../packages/oncekey/test/stores/altered.ts'
import { startPostgres, startRedis } from '../../scripts/services.mjs'
import { type History, race, unexplained } from './history.ts'
import type { Heard } from './record.ts'

const now = (): number => performance.timeOrigin + performance.now()
const clock = { wallMs: now, monotonicMs: now }

/** How many races a store has to stand. */
const races = 12

interface Opened {
  readonly stores: readonly Store[]
  /** By how much the store's clock may be apart from ours, ms: it is rounded, and is read by another process. */
  readonly apartMs?: number
  close(): Promise<void>
}

const kinds: Readonly<Record<string, () => Promise<Opened>>> = {
  memory: async () => ({ stores: [memoryStore(clock)], close: async () => undefined }),
  LMDB: async () => {
    const path = mkdtempSync(join(tmpdir(), 'oncekey-linear-'))
    const stores = [0, 1].map(() => lmdbStore(path, { clock: { ...clock, bootId: () => 'boot' } }))
    const close = async (): Promise<void> => {
      for (const store of stores) await store.close()
      rmSync(path, { recursive: true, force: true })
    }
    return { stores, close }
  },
  Redis: async () => {
    const server = await startRedis()
    const clients = [0, 1].map(() => new Redis(server.url))
    const close = async (): Promise<void> => {
      for (const client of clients) client.disconnect()
      await server.stop()
    }
    return { stores: clients.map((client) => redisStore(client)), apartMs: 2, close }
  },
  PostgreSQL: async () => {
    const server = await startPostgres()
    const pools = [0, 1].map(() => new pg.Pool({ connectionString: server.url }))
    await migrate(pools[0] as pg.Pool)
    const close = async (): Promise<void> => {
      for (const pool of pools) await pool.end()
      await server.stop()
    }
    return { stores: pools.map((pool) => postgresStore(pool)), apartMs: 2, close }
  },
}

async function histories(open: () => Promise<Opened>): Promise<History[]> {
  const { stores, close, apartMs = 0 } = await open()
  const all = await Promise.all(Array.from({ length: races }, (_, seed) => race(stores, seed + 1, now, apartMs)))
  await close()
  return all
}

describe('one order of calls', () => {
  for (const [name, open] of Object.entries(kinds)) {
    test(`explains what clients of ${name} hear`, { timeout: 120_000 }, async () => {
      const all = await histories(open)
      const heard = all.flatMap((history) => [...history.values()].flat())
      const takeovers = heard.filter(({ kind, answer }) => kind === 'claim' && answer?.kind === 'granted')
      expect(heard.length).toBeGreaterThan(races * 100)
      expect(takeovers.length).toBeGreaterThan(races * 5)
      expect(all.flatMap(unexplained)).toEqual([])
    })
  }
})

/** The history with one answer put wrong: the first that `wrong` knows how to. */
function corrupted(history: History, wrong: (heard: Heard) => Heard | undefined): History {
  let done = false
  return new Map(
    [...history].map(([id, all]) => {
      const changed = all.map((heard) => {
        const other = done ? undefined : wrong(heard)
        if (other !== undefined) done = true
        return other ?? heard
      })
      return [id, changed] as const
    }),
  )
}

describe('a history that was tampered with has no explanation', () => {
  const lies: Readonly<Record<string, (heard: Heard) => Heard | undefined>> = {
    'a claim that was refused is said to be granted': (heard) =>
      heard.kind === 'claim' && heard.answer?.kind === 'held'
        ? { ...heard, answer: { kind: 'granted', by: 'claim', record: heard.answer.record } }
        : undefined,
    'a settle that was recorded is said to be refused': (heard) =>
      heard.kind === 'settle' && heard.answer?.kind === 'recorded' && heard.ask.kind !== 'dispatched'
        ? { ...heard, answer: { kind: 'fenced', record: heard.answer.record } }
        : undefined,
    'a read saw an attempt that nobody made': (heard) =>
      heard.kind === 'read' && heard.answer?.record !== undefined
        ? {
            ...heard,
            answer: { ...heard.answer, record: { ...heard.answer.record, attempt: heard.answer.record.attempt + 1 } },
          }
        : undefined,
  }
  for (const [lie, wrong] of Object.entries(lies)) {
    test(lie, async () => {
      const history = await race([memoryStore(clock)], 7, now)
      expect(unexplained(history)).toEqual([])
      expect(unexplained(corrupted(history, wrong))).toHaveLength(1)
    })
  }
})

describe('a store that is broken gives histories without an explanation', () => {
  const defects: Readonly<Record<string, (store: Store) => Store>> = {
    'settles for whoever asks': (store) =>
      altered(store, {
        settle: async (asks) => {
          const owned = await Promise.all(
            asks.map(async (ask) => ({
              ...ask,
              attemptId: (await store.read([ask.recordId]))[0]?.record?.attemptId ?? ask.attemptId,
            })),
          )
          return store.settle(owned)
        },
      }),
    'takes over before the lease is over': (store) =>
      altered(store, { claim: (asks) => store.claim(asks.map((ask) => ({ ...ask, skewMs: -1_000 }))) }),
    'answers from a copy that is behind': (store) => {
      const seen = new Map<string, Awaited<ReturnType<Store['read']>>>()
      return altered(store, {
        read: async (ids) => {
          const key = ids.join()
          const old = seen.get(key)
          const fresh = await store.read(ids)
          seen.set(key, fresh)
          return old ?? fresh
        },
      })
    },
  }
  for (const [defect, breaks] of Object.entries(defects)) {
    test(`a store that ${defect}`, { timeout: 60_000 }, async () => {
      const broken: string[] = []
      for (let seed = 1; seed <= 10 && broken.length === 0; seed++)
        broken.push(...unexplained(await race([breaks(memoryStore(clock))], seed, now)))
      expect(broken).not.toEqual([])
    })
  }
})
