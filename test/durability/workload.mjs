// Writes to an LMDB store and says on file descriptor 1 what was acknowledged, so that a trace has both in one order.
// Usage: node workload.mjs FOLDER '{"seed":1,"shared":160,"own":8,"joiners":8,"options":{}}'
//
// Two processes share most keys for the whole time. Beside them others come and go, one at a time, each with some keys
// of its own: a process that joins, or one that is killed in the middle of its calls, leaves LMDB in states that
// processes which only stay never see.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { lmdbStore } from '../../packages/oncekey/dist/stores/lmdb/index.js'
import { claimOf, head, idOf, planOf, random } from './plan.mjs'

const [folder, text] = process.argv.slice(2)
const settings = JSON.parse(text)

/** Calls under way in one process. */
const lanes = 6

function must(right, what) {
  if (!right) throw new Error(`Workload: ${what}`)
}

/** Starts the processes; each part is one of them. */
async function direct() {
  const { shared, own, joiners } = settings
  const start = (part) => {
    const args = [fileURLToPath(import.meta.url), folder, JSON.stringify({ ...settings, part })]
    return once(spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit')
  }
  const staying = [0, 1].map((self) => start({ self, from: 0, to: shared, dieAfter: 0 }))
  for (let joiner = 0; joiner < joiners; joiner++) {
    const from = shared + joiner * own
    // Every other one is killed, after some acknowledgements.
    const dieAfter = joiner % 2 === 0 ? 0 : 4 + joiner
    const [code, signal] = await start({ self: 2 + joiner, from, to: from + own, dieAfter })
    must(dieAfter === 0 ? code === 0 : signal === 'SIGKILL', `a process ended with ${code ?? signal}`)
  }
  for (const [code] of await Promise.all(staying)) must(code === 0, `a process ended with ${code}`)
}

/** One process: it brings its range of keys to their ends. */
async function work({ self, from, to, dieAfter }) {
  const { seed, options } = settings
  const store = lmdbStore(folder, options)
  let acks = 0

  /** A write call of its own: its place among the other calls of the trace is the moment of the acknowledgement. */
  function acknowledged(key, { attempt, attemptId }, step) {
    writeSync(1, `${JSON.stringify({ key, attempt, attemptId, step })}\n`)
    if (++acks === dieAfter) process.kill(process.pid, 'SIGKILL')
  }

  /** Runs an attempt that was granted, to its planned end. */
  async function run(plan, key, record) {
    const { recordId, rest, digest } = plan
    const { attempt, attemptId } = record
    const settle = async (settlement) => (await store.settle([{ recordId, attemptId, ...settlement }]))[0]
    acknowledged(key, record, 'claimed')
    must((await settle({ kind: 'dispatched' })).kind === 'recorded', 'dispatched was refused')
    acknowledged(key, record, 'dispatched')
    for (const piece of plan.appended) {
      const [{ kind }] = await store.append([{ recordId, attemptId, ...piece }])
      must(kind === 'appended', `a piece was ${kind}`)
    }
    const ending =
      attempt <= plan.releases
        ? { kind: 'released', retryAfterMs: 0, digest }
        : { kind: 'completed', outcome: 'response', head, rest, digest }
    const note = ({ kind }) => {
      must(kind === 'recorded' || kind === 'already', `a settle was ${kind}`)
      acknowledged(key, record, ending.kind)
    }
    // The second call is a settle whose first answer was lost: it, too, may answer only what is on the disk.
    const twice = key % 5 === 0 && ending.kind === 'completed'
    await Promise.all([settle(ending).then(note), twice ? settle(ending).then(note) : undefined])
  }

  /** Brings a key to its end, or watches another owner do so; what it is told of an outcome counts as acknowledged. */
  async function serve(key) {
    const plan = planOf(seed, key)
    for (let turn = 0; turn < 40; turn++) {
      const [answer] = await store.claim([claimOf(plan, idOf(16, seed, key, self, turn))])
      const { record } = answer
      if (answer.kind === 'granted') {
        await run(plan, key, record)
        // Some stay released.
        if (record.attempt <= plan.releases && key % 2 === 0) return
      } else if (record.state === 'completed') {
        must(answer.body === undefined || plan.body.equals(answer.body), 'another body was replayed')
        return acknowledged(key, record, 'completed')
      }
      await sleep(turn % 4)
    }
  }

  const draw = random(seed * 31 + self)
  // Near the order of the keys, so that processes meet at the same ones.
  const ranked = Array.from({ length: to - from }, (_, at) => ({ key: from + at, rank: at + draw() * 8 }))
  const queue = ranked.sort((a, b) => a.rank - b.rank).map(({ key }) => key)
  async function lane() {
    for (let key = queue.shift(); key !== undefined; key = queue.shift()) await serve(key)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  await store.close()
}

await (settings.part === undefined ? direct() : work(settings.part))
