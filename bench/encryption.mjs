// What does encryption at rest cost beside the same calls in clear? 64 in flight, values of 1 KiB.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createIdempotency, memoryStore } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'
import { print, rate, rounds } from './table.mjs'

const value = 'x'.repeat(1022)
const encryption = { keys: [{ id: 'k1', key: randomBytes(32) }] }

export async function run() {
  await compare('memory', memoryStore)
  const path = mkdtempSync(join(tmpdir(), 'oncekey-bench-'))
  const store = lmdbStore(path)
  await compare('LMDB', () => store)
  await store.close()
  rmSync(path, { recursive: true })
}

async function compare(name, open) {
  const engine = (options) => createIdempotency({ store: open(), onAbandoned: 'unknown', ...options })
  const engines = { 'in clear': engine({}), encrypted: engine({ encryption }) }
  let key = 0
  const cases = {}
  const goals = {}
  for (const what of ['first', 'replay']) {
    for (const [how, once] of Object.entries(engines)) {
      const asked = (at) => ({ key: `${how} ${at % 1000}`, input: 1 })
      if (what === 'first') for (let at = 0; at < 1000; at++) await once.run(asked(at), () => value)
      cases[`${what}, ${how}`] = () =>
        rate(20_000, (at) => once.run(what === 'replay' ? asked(at) : { key: `k${key++}`, input: 1 }, () => value))
    }
    goals[`${what}, encrypted`] = { against: `${what}, in clear` }
  }
  const rates = await rounds(7, cases)
  for (const once of Object.values(engines)) await once.close()
  print(`Encryption over ${name}`, rates, goals)
}
