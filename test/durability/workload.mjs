// Writes to an LMDB store and says on file descriptor 1 what was acknowledged, so that a trace has both in one order.
// Usage: node workload.mjs FOLDER '{"seed":1,"keys":200,"lanes":6,"process":0,"processes":2,"options":{}}'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { lmdbStore } from '../../packages/oncekey/dist/stores/lmdb/index.js'
import { claimOf, head, idOf, planOf, random } from './plan.mjs'

const [folder, settings] = process.argv.slice(2)
const { seed, keys, lanes, process: self, processes, options } = JSON.parse(settings)
// The first process starts the others, before it opens the store, so that one trace has them all.
const others = Array.from({ length: self === 0 ? processes - 1 : 0 }, (_, at) => {
  const args = [fileURLToPath(import.meta.url), folder, JSON.stringify({ ...JSON.parse(settings), process: at + 1 })]
  return once(spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit')
})
const store = lmdbStore(folder, options)

/** A write call of its own: its place among the other calls of the trace is the moment of the acknowledgement. */
function acknowledged(key, attempt, attemptId, step) {
  writeSync(1, `${JSON.stringify({ key, attempt, attemptId, step })}\n`)
}

function must(right, what) {
  if (!right) throw new Error(`Workload: ${what}`)
}

/** Runs an attempt that was granted, to its planned end. */
async function run(plan, key, record) {
  const { recordId } = plan
  const { attempt, attemptId } = record
  const settle = async (settlement) => (await store.settle([{ recordId, attemptId, ...settlement }]))[0]
  acknowledged(key, attempt, attemptId, 'claimed')
  must((await settle({ kind: 'dispatched' })).kind === 'recorded', 'dispatched was refused')
  acknowledged(key, attempt, attemptId, 'dispatched')
  for (const piece of plan.appended) {
    const [{ kind }] = await store.append([{ recordId, attemptId, ...piece }])
    must(kind === 'appended', `a piece was ${kind}`)
  }
  const { rest, digest } = plan
  const ending =
    attempt <= plan.releases
      ? { kind: 'released', retryAfterMs: 0, digest }
      : { kind: 'completed', outcome: 'response', head, rest, digest }
  // The second call is a settle whose first answer was lost: it may answer before the first one's flush.
  const note = ({ kind }) => {
    must(kind === 'recorded' || kind === 'already', `a settle was ${kind}`)
    acknowledged(key, attempt, attemptId, ending.kind)
  }
  const twice = key % 5 === 0 && ending.kind === 'completed'
  await Promise.all([settle(ending).then(note), twice ? settle(ending).then(note) : undefined])
}

/** Brings a key to its end, or watches another owner do so; what it is told of an outcome counts as acknowledged. */
async function serve(key, visit) {
  const plan = planOf(seed, key)
  for (let turn = 0; turn < 40; turn++) {
    const ask = claimOf(plan, idOf(16, seed, key, self, visit, turn))
    const [answer] = await store.claim([ask])
    const { record } = answer
    if (answer.kind === 'granted') {
      await run(plan, key, record)
      // Some stay released.
      if (record.attempt <= plan.releases && key % 2 === 0) return
    } else if (record.state === 'completed') {
      must(answer.body === undefined || plan.body.equals(answer.body), 'another body was replayed')
      return acknowledged(key, record.attempt, record.attemptId, 'completed')
    }
    await sleep(turn % 4)
  }
}

const draw = random(seed * 31 + self)
const queue = Array.from({ length: keys }, (_, key) => key)
// Near the order of the keys, so that the processes meet at the same ones.
queue.sort((a, b) => a - b + (draw() - 0.5) * 8)
let visits = 0
async function lane() {
  for (let key = queue.shift(); key !== undefined; key = queue.shift()) await serve(key, visits++)
}
await Promise.all(Array.from({ length: lanes }, lane))
const codes = await Promise.all(others)
if (codes.some(([code]) => code !== 0)) throw new Error('Workload: another process failed')
await store.close()
