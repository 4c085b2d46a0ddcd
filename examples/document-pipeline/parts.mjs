// What the pipeline is made of: folders by default, servers where their addresses are given.
import { join } from 'node:path'
import { createIdempotency } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'
import { migrate, postgresStore } from 'oncekey/postgres'
import OpenAI from 'openai'
import pg from 'pg'
import { lanceRows, lanceTable } from './lancedb.mjs'
import { pgRows, pgVectors } from './postgres.mjs'

/**
 * `DATABASE_URL` (records and rows) and `VECTOR_URL` (pgvector) replace the folder `DATA`. The client reads `OPENAI_BASE_URL`
 * and `OPENAI_API_KEY` itself. `engine` are further options of the engine.
 */
export async function openParts(env, engine = {}) {
  const folder = env.DATA ?? './pipeline-data'
  const pools = []
  const poolOf = (url) => {
    const pool = new pg.Pool({ connectionString: url, max: url === env.VECTOR_URL ? 1 : 10 })
    pools.push(pool)
    return pool
  }
  const database = env.DATABASE_URL === undefined ? undefined : poolOf(env.DATABASE_URL)
  if (database !== undefined) await migrate(database)
  const store = database === undefined ? lmdbStore(join(folder, 'records')) : postgresStore(database)
  const once = createIdempotency({ store, onAbandoned: 'resume', ...engine })
  return {
    once,
    openai: new OpenAI(),
    vectors:
      env.VECTOR_URL === undefined
        ? await lanceTable(join(folder, 'lance'), 'pieces', 'id')
        : await pgVectors(poolOf(env.VECTOR_URL)),
    rows: database === undefined ? await lanceRows(join(folder, 'lance')) : await pgRows(database),
    async close() {
      await once.close()
      await store.close()
      for (const pool of pools) await pool.end()
    },
  }
}
