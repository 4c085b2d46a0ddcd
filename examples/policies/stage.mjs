// Kills a process at each of four points of an operation, lets another one try again, and asks the provider what was paid.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createIdempotency } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'

/** Where a process may die, and how far its operation has come by then. */
const points = {
  'before dispatch': 'claim ─✗',
  'after dispatch': 'claim ─ dispatch ─✗',
  'after the effect': 'claim ─ dispatch ─ effect ─✗',
  'after settle': 'claim ─ dispatch ─ effect ─ settle ─✗',
}

/** Here a process may die: `kill -9`, no goodbye. */
export function here(point) {
  if (process.env.DIE_AT === point) process.kill(process.pid, 'SIGKILL')
}

/** A provider that is paid for each `POST` and can be asked what it has done. */
export const provider = {
  async pay(what) {
    await fetch(`${process.env.PROVIDER}/${what}`, { method: 'POST' })
    return `receipt for ${what}`
  },
  async has(what) {
    return (await (await fetch(process.env.PROVIDER)).json()).includes(what)
  },
}

/** Runs the operation in this process if it is one of those that may die; else shows what happens at each point. */
export async function show(file, onAbandoned, operation) {
  if (process.env.STORE !== undefined) return work(onAbandoned, operation)
  const lines = Object.keys(points).map((point) => timeline(fileURLToPath(file), point))
  for (const line of await Promise.all(lines)) console.log(line)
}

async function work(onAbandoned, operation) {
  const store = lmdbStore(process.env.STORE)
  // Half a second in place of thirty: whoever comes next takes over soon.
  const once = createIdempotency({ store, onAbandoned, leaseMs: 500, skewMs: 0 })
  try {
    const { status } = await once.runDetailed({ key: 'order-4711' }, operation)
    here('after settle')
    console.log(status)
  } catch (error) {
    console.log(error.code)
  }
  await once.close()
  await store.close()
}

async function timeline(file, point) {
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-policies-'))
  const paid = []
  const server = createServer((request, response) => {
    if (request.method === 'POST') paid.push(request.url.slice(1))
    response.end(JSON.stringify(paid))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const place = { STORE: folder, PROVIDER: `http://127.0.0.1:${server.address().port}` }
  await run(file, { ...place, DIE_AT: point })
  const before = paid.length
  const told = await run(file, place)
  server.close()
  rmSync(folder, { recursive: true, force: true })
  const wait = point === 'after settle' ? '┄┄┄┄┄┄┄┄' : '┄ lease ┄'
  return `${points[point].padEnd(39)} paid ${before} ${wait.padEnd(9, '┄')}▶ ${told.padEnd(15)} paid ${paid.length} in all`
}

function run(file, place) {
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, ...place },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', (bytes) => {
    printed += bytes
  })
  return new Promise((resolve) => child.once('close', () => resolve(printed.trim())))
}
