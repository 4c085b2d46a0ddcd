/** A store behind encryption does what every store must do, whatever store it is; a second way in has another first key. */
import pg from 'pg'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Server, startPostgres } from '../../../../scripts/services.mjs'
import type { RecordId } from '../../src/core/key.ts'
import type { Store } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { manualClock, type OpenedStore, storeConformance } from '../../src/testing/index.ts'
import { encrypted } from './encrypted.ts'
import { damage as damageLmdb, type OpenedLmdb, openLmdb } from './lmdb.ts'
import { damage as damagePostgres, type OpenedPostgres, openPostgres } from './postgres.ts'
import { clients, damage as damageRedis, type OpenedRedis, openRedis, type Servers, startOne } from './redis.ts'

let redis: Servers
let postgres: Server
let admin: pg.Pool

beforeAll(async () => {
  redis = await startOne()
  postgres = await startPostgres()
  admin = new pg.Pool({ connectionString: postgres.url, max: 2 })
}, 120_000)

afterAll(async () => {
  await admin.end()
  await postgres.stop()
  await redis.stop()
})

/** The suite over a store that is encrypted here, and opened elsewhere in the middle of a change of keys. */
function conforms<Opened extends OpenedStore & { another(): Promise<Store> | Store }>(
  name: string,
  open: () => Promise<Opened> | Opened,
  damage: (opened: Opened, recordId: RecordId) => Promise<void>,
): void {
  const plain = new WeakMap<OpenedStore, Opened>()
  const inner = (opened: OpenedStore): Opened => plain.get(opened) as Opened
  describe(name, () => {
    storeConformance<OpenedStore>(
      { test },
      {
        open: async () => {
          const opened = await open()
          const outer = {
            store: encrypted(opened.store, ['k1', 'k2']),
            advance: (ms: number) => opened.advance(ms),
            stepWall: (ms: number) => opened.stepWall(ms),
            close: () => opened.close(),
          }
          plain.set(outer, opened)
          return outer
        },
        reopen: async (opened) => encrypted(await inner(opened).another(), ['k2', 'k1']),
        damage: (opened, recordId) => damage(inner(opened), recordId),
      },
    )
  })
}

describe('memory', () => {
  storeConformance(
    { test },
    {
      open: () => {
        const clock = manualClock()
        const store = memoryStore(clock)
        return {
          store: encrypted(store),
          advance: (ms) => clock.advance(ms),
          stepWall: (ms) => clock.stepWall(ms),
          close: () => store.close(),
        }
      },
    },
  )
})

conforms<OpenedLmdb>('lmdb', openLmdb, damageLmdb)
conforms<OpenedRedis>('redis', () => openRedis(redis, clients.ioredis), damageRedis)
conforms<OpenedPostgres>('postgres', () => openPostgres(admin, postgres.url), damagePostgres)
