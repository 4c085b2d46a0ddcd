// What does run() cost over Redis and PostgreSQL beside each client's raw floor (performance.md P1 and P2)?
// 64 in flight, 1 KiB values; servers of our own with the settings that the promise needs.
import { createHash } from 'node:crypto'
import Redis from 'ioredis'
import { createIdempotency } from 'oncekey'
import { migrate, postgresStore } from 'oncekey/postgres'
import { redisStore } from 'oncekey/redis'
import pg from 'pg'
import { startPostgres, startRedis } from '../scripts/services.mjs'
import { print, rounds } from './table.mjs'

const inFlight = 64
const value = 'x'.repeat(1022)
const body = Buffer.from(JSON.stringify(value))
const guard = 'g'.repeat(250)
const idOf = (key) => createHash('sha256').update(key).digest('base64url')
let key = 0

/** Operations a second of `count` calls with 64 in flight. */
async function rate(count, operate) {
  let next = 0
  const startedMs = performance.now()
  const worker = async () => {
    while (next < count) await operate(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return (count / (performance.now() - startedMs)) * 1000
}

/** The store, and how many of its calls were made since `start`. */
function counted(store) {
  const calls = { count: 0 }
  for (const name of ['claim', 'settle', 'renew', 'append', 'read', 'readBody']) {
    const call = store[name].bind(store)
    store[name] = (...args) => {
      calls.count += 1
      return call(...args)
    }
  }
  return calls
}

/** Prints what a thousand executions and a thousand replays, one at a time, ask of the store and write to its log. */
async function bill(title, engine, calls, written) {
  for (const [what, keyOf] of [
    ['execution', () => `k${key++}`],
    ['replay', (at) => `r${at % 1000}`],
  ]) {
    const [before, from] = [calls.count, await written()]
    for (let at = 0; at < 1000; at++) await engine.run({ key: keyOf(at), input: 1 }, () => value)
    const bytes = (await written()) - from
    console.log(
      `  ${title}: ${((calls.count - before) / 1000).toFixed(2)} calls and ${(bytes / 1000).toFixed(0)} log bytes a ${what}`,
    )
  }
}

async function seeded(engine) {
  for (let at = 0; at < 1000; at++) await engine.run({ key: `r${at}`, input: 1 }, () => value)
}

async function redis() {
  const server = await startRedis()
  const client = new Redis(server.url)
  client.defineCommand('rawClaim', {
    numberOfKeys: 1,
    lua: "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end redis.call('HSET', KEYS[1], 's', 'running', 'a', ARGV[1], 'g', ARGV[2]) return 1",
  })
  client.defineCommand('rawSettle', {
    numberOfKeys: 1,
    lua: "if redis.call('HGET', KEYS[1], 'a') ~= ARGV[1] then return 0 end redis.call('HSET', KEYS[1], 's', 'completed', 'b', ARGV[2]) redis.call('PEXPIRE', KEYS[1], 86400000) return 1",
  })
  const store = redisStore(client)
  const calls = counted(store)
  const engine = createIdempotency({ store, onAbandoned: 'unknown' })
  await seeded(engine)
  await Promise.all(Array.from({ length: 1000 }, (_, at) => client.set(idOf(`r${at}`), body)))
  const rates = await rounds(5, {
    'raw pair, two scripts': () =>
      rate(10_000, async () => {
        const id = idOf(`k${key++}`)
        await client.rawClaim(id, id, guard)
        await client.rawSettle(id, id, body)
      }),
    'run() first, Redis': () => rate(10_000, () => engine.run({ key: `k${key++}`, input: 1 }, () => value)),
    'raw GET': () => rate(20_000, async (at) => JSON.parse(String(await client.getBuffer(idOf(`r${at % 1000}`))))),
    'run() replay, Redis': () => rate(20_000, (at) => engine.run({ key: `r${at % 1000}`, input: 1 }, () => value)),
  })
  print(`run() over Redis ${server.version}, ioredis, appendfsync always`, rates, {
    'run() first, Redis': { name: 'P1', against: 'raw pair, two scripts', least: 0.8 },
    'run() replay, Redis': { name: 'P2', against: 'raw GET', least: 0.8 },
  })
  const logged = async () => Number(/aof_current_size:(\d+)/.exec(await client.info('persistence'))[1])
  await bill('Redis', engine, calls, logged)
  await engine.close()
  client.disconnect()
  await server.stop()
}

/** Gathers single items into statements of at most 128, two under way: the group commit of the raw floor. */
function gathered(statement) {
  const queue = []
  let busy = 0
  const flush = async () => {
    if (queue.length === 0 || busy === 2) return
    const batch = queue.splice(0, 128)
    busy += 1
    const rows = await statement(batch.map(({ item }) => item))
    for (const [at, { resolve }] of batch.entries()) resolve(rows[at])
    busy -= 1
    void flush()
  }
  return (item) =>
    new Promise((resolve) => {
      queue.push({ item, resolve })
      if (queue.length === 1) setImmediate(flush)
    })
}

async function postgres() {
  const server = await startPostgres()
  const pool = new pg.Pool({ connectionString: server.url, max: 10 })
  await pool.query('create table raw (id text primary key, attempt text, state text, guard text, body bytea)')
  await migrate(pool)
  const store = postgresStore(pool)
  const calls = counted(store)
  const engine = createIdempotency({ store, onAbandoned: 'unknown' })
  await seeded(engine)
  const insert =
    "insert into raw select id, id, 'running', $2, null from unnest($1::text[]) id order by id on conflict do nothing"
  const update =
    "update raw set state = 'completed', body = $2 from (select id from unnest($1::text[]) id order by id) ids where raw.id = ids.id and attempt = ids.id"
  const one = (text, ...values) => pool.query({ text, values })
  const write = (text, second) =>
    gathered(async (ids) => {
      await one(text, ids, second)
      return ids
    })
  const claim = write(insert, guard)
  const settle = write(update, body)
  const read = gathered(async (ids) => {
    const { rows } = await one('select id, body from raw where id = any($1)', [...new Set(ids)])
    const found = new Map(rows.map((row) => [row.id, row.body]))
    return ids.map((id) => found.get(id))
  })
  for (let at = 0; at < 1000; at++) {
    await one(insert, [idOf(`r${at}`)], guard)
    await one(update, [idOf(`r${at}`)], body)
  }
  const rates = await rounds(5, {
    'raw pair, one statement each': () =>
      rate(2_000, async () => {
        const id = idOf(`k${key++}`)
        await one(insert, [id], guard)
        await one(update, [id], body)
      }),
    'raw pair, batched': () =>
      rate(5_000, async () => {
        const id = idOf(`k${key++}`)
        await claim(id)
        await settle(id)
      }),
    'run() first, PostgreSQL': () => rate(5_000, () => engine.run({ key: `k${key++}`, input: 1 }, () => value)),
    'raw read, batched': () => rate(30_000, async (at) => JSON.parse(String(await read(idOf(`r${at % 1000}`))))),
    'run() replay, PostgreSQL': () => rate(20_000, (at) => engine.run({ key: `r${at % 1000}`, input: 1 }, () => value)),
  })
  print(`run() over PostgreSQL ${server.version}, pg, synchronous_commit on`, rates, {
    'run() first, PostgreSQL': { name: 'P1', against: 'raw pair, batched', least: 0.8 },
    'run() replay, PostgreSQL': { name: 'P2', against: 'raw read, batched', least: 0.7 },
  })
  print(
    'the same beside one statement a call',
    pick(rates, 'raw pair, one statement each', 'run() first, PostgreSQL'),
    {
      'run() first, PostgreSQL': { name: 'P1', against: 'raw pair, one statement each', least: 6 },
    },
  )
  const position = async () => Number((await one("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn n")).rows[0].n)
  await bill('PostgreSQL', engine, calls, position)
  await engine.close()
  await pool.end()
  await server.stop()
}

function pick(rates, ...names) {
  return Object.fromEntries(names.map((name) => [name, rates[name]]))
}

export async function run() {
  await redis()
  await postgres()
}
