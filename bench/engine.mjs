// What does run() cost beside the raw store (performance.md P1 and P2)? 64 in flight, 1 KiB values.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { createIdempotency, memoryStore } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'
import { print, rate, rounds } from './table.mjs'

const value = 'x'.repeat(1022)
const bytes = Buffer.from(JSON.stringify(value))

const folder = () => mkdtempSync(join(tmpdir(), 'oncekey-bench-'))
const idOf = (key) => createHash('sha256').update(key).digest('base64url')

export async function run() {
  await memory()
  await lmdb()
}

async function memory() {
  let key = 0
  const map = new Map()
  const engine = createIdempotency({ store: memoryStore(), onAbandoned: 'unknown' })
  const seeded = createIdempotency({ store: memoryStore(), onAbandoned: 'unknown' })
  for (let at = 0; at < 1000; at++) await seeded.run({ key: `k${at}`, input: at }, () => value)
  const rates = await rounds(7, {
    'Map pair': () =>
      rate(100_000, async () => {
        // The floor hashes the key, writes a claim and an outcome, each behind one turn, and encodes the value.
        const id = idOf(`k${key++}`)
        await null
        map.set(id, { state: 'running' })
        await null
        map.set(id, { state: 'completed', body: Buffer.from(JSON.stringify(value)) })
        if (map.size > 50_000) map.clear()
      }),
    'run() first, memory': () => rate(20_000, () => engine.run({ key: `k${key++}`, input: 1 }, () => value)),
    'Map read': () => rate(100_000, async (at) => JSON.parse(String(map.get(idOf(`k${at % 1000}`))?.body ?? bytes))),
    'run() replay, memory': () =>
      rate(20_000, (at) => seeded.run({ key: `k${at % 1000}`, input: at % 1000 }, () => value)),
  })
  await engine.close()
  print('run() over memory', rates, { 'run() first, memory': { name: 'P1', against: 'Map pair', least: 0.25 } })
}

async function lmdb() {
  const path = folder()
  const rawPath = folder()
  const raw = open({ path: rawPath, encoding: 'binary', useVersions: true })
  const store = lmdbStore(path)
  const engine = createIdempotency({ store, onAbandoned: 'unknown' })
  const cheap = createIdempotency({ store, onAbandoned: 'reexecute' })
  let key = 0
  const claim = Buffer.alloc(250)
  const settled = Buffer.concat([claim, bytes])
  for (let at = 0; at < 1000; at++) {
    await engine.run({ key: `r${at}`, input: at }, () => value)
    await raw.put(idOf(`r${at}`), settled, 1)
  }
  const pair = (flushClaim) => async () => {
    const id = idOf(`k${key++}`)
    await raw.ifNoExists(id, () => raw.put(id, claim, 1))
    if (flushClaim) await raw.flushed
    await raw.ifVersion(id, 1, () => raw.put(id, settled, 2))
    await raw.flushed
  }
  const rates = await rounds(7, {
    'raw pair, both flushed': () => rate(5_000, pair(true)),
    'run() first, unknown': () => rate(5_000, () => engine.run({ key: `k${key++}`, input: 1 }, () => value)),
    'raw pair, claim committed': () => rate(5_000, pair(false)),
    'run() first, reexecute': () => rate(5_000, () => cheap.run({ key: `k${key++}`, input: 1 }, () => value)),
    'raw read': () => rate(50_000, async (at) => JSON.parse(String(raw.get(idOf(`r${at % 1000}`)).subarray(250)))),
    'run() replay': () => rate(20_000, (at) => engine.run({ key: `r${at % 1000}`, input: at % 1000 }, () => value)),
  })
  await engine.close()
  await cheap.close()
  await store.close()
  await raw.close()
  rmSync(path, { recursive: true })
  rmSync(rawPath, { recursive: true })
  print('run() over LMDB', rates, {
    'run() first, unknown': { name: 'P1', against: 'raw pair, both flushed', least: 0.8 },
    'run() first, reexecute': { name: 'P1', against: 'raw pair, claim committed', least: 0.8 },
    'run() replay': { name: 'P2', against: 'raw read', least: 0.5 },
  })
}
