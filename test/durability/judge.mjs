// Opens images as after a power cut and says what is wrong with each. A child, for a broken image may kill it (SIGBUS).
// Reads lines {"folder", "acks"} on stdin, answers {"faults": [[kind, detail]]} on stdout, one line each.
// Usage: node judge.mjs '{"seed":1,"keys":200}'
import { createInterface } from 'node:readline'
import { lmdbStore } from '../../packages/oncekey/dist/stores/lmdb/index.js'
import { hostClock } from '../../packages/oncekey/dist/stores/lmdb/times.js'
import { claimOf, head, idOf, planOf } from './plan.mjs'

const { seed, keys } = JSON.parse(process.argv[2])
const plans = Array.from({ length: keys }, (_, key) => planOf(seed, key))

/** How far an attempt got; a record is behind what was acknowledged if its (attempt, step) is smaller. */
const steps = { absent: 0, claimed: 1, dispatched: 2, released: 3, completed: 3 }

function stepOf(record) {
  if (record === undefined) return 'absent'
  if (record.state !== 'running') return record.state
  return record.dispatched ? 'dispatched' : 'claimed'
}

/** The most that was acknowledged of each key. */
function acknowledged(acks) {
  const most = new Map()
  for (const ack of acks) {
    const held = most.get(ack.key)
    if (held === undefined || ack.attempt > held.attempt || steps[ack.step] > steps[held.step]) most.set(ack.key, ack)
  }
  return most
}

async function bodyOf(store, { recordId }, record) {
  const pieces = []
  for (let at = 0; at < record.bodyLength; ) {
    const more = await store.readBody(recordId, record.attemptId, at)
    if (more.length === 0) break
    pieces.push(...more)
    for (const piece of more) at += piece.length
  }
  return Buffer.concat(pieces)
}

/** What is wrong with one record: lost against the acknowledgement, or half. */
async function judgeRecord(store, plan, record, ack) {
  const step = stepOf(record)
  if (ack !== undefined) {
    const had = `attempt ${ack.attempt} ${ack.step}`
    if (record === undefined) return ['lost', `${had}, absent`]
    if (record.attempt < ack.attempt) return ['lost', `${had}, attempt ${record.attempt} ${step}`]
    if (record.attempt === ack.attempt) {
      if (!(steps[step] >= steps[ack.step])) return ['lost', `${had}, ${step}`]
      if (record.attemptId !== ack.attemptId) return ['wrong', `${had}, by another attempt`]
    }
  }
  if (record === undefined) return undefined
  const expected = record.attempt <= plan.releases ? 'released' : 'completed'
  if (steps[step] === undefined || (steps[step] === 3 && step !== expected)) return ['wrong', `state ${step}`]
  const body = await bodyOf(store, plan, record)
  const whole = step === 'completed' ? plan.body : plan.body.subarray(0, step === 'released' ? 0 : record.bodyLength)
  if (record.bodyLength !== whole.length) return ['half', `${step} with length ${record.bodyLength} of ${whole.length}`]
  if (!body.equals(whole)) return ['half', `${step} with other bytes (${body.length} of ${whole.length})`]
  if (step === 'completed' && !(record.outcome === 'response' && head.equals(record.head))) return ['half', 'head']
  return undefined
}

/** What another caller must be told after the restart, when every former lease is over. */
function judgeClaim(plan, record, answer) {
  const told = {
    absent: 'claim',
    claimed: 'takeover',
    dispatched: 'unknown',
    released: 'retry',
    completed: 'completed',
  }
  const got = answer.kind === 'granted' ? answer.by : answer.record.state
  if (got !== told[stepOf(record)]) return ['wrong', `a claim of ${stepOf(record)} was told ${got}`]
  if (got === 'completed' && answer.body !== undefined && !plan.body.equals(answer.body)) return ['half', 'replayed']
  return undefined
}

async function judge({ folder, acks }) {
  let store
  try {
    // The machine has started anew, also for the store's leases.
    store = lmdbStore(folder, { clock: { ...hostClock, bootId: () => 'after the cut' } })
  } catch (error) {
    return [['unopenable', error.message]]
  }
  const most = acknowledged(acks)
  const faults = []
  try {
    const ids = plans.map(({ recordId }) => recordId)
    const before = await store.read(ids)
    const check = async (records, keep) => {
      for (const [key, plan] of plans.entries()) {
        if (!keep(before[key].record)) continue
        const fault = await judgeRecord(store, plan, records[key].record, most.get(key))
        if (fault !== undefined) faults.push([fault[0], `key ${key}: ${fault[1]}`])
      }
    }
    await check(before, () => true)
    if (faults.length > 0) return faults
    const answers = await store.claim(plans.map((plan, key) => claimOf(plan, idOf(16, seed, key, 'after'))))
    for (const [key, answer] of answers.entries()) {
      const fault = judgeClaim(plans[key], before[key].record, answer)
      if (fault !== undefined) faults.push([fault[0], `key ${key}: ${fault[1]}`])
    }
    // What was written since must not have landed on pages that are in use.
    await check(await store.read(ids), (record) => record?.state === 'completed')
  } catch (error) {
    faults.push(['unreadable', error.message])
  } finally {
    await store.close()
  }
  return faults
}

for await (const line of createInterface({ input: process.stdin })) {
  const faults = await judge(JSON.parse(line)).catch((error) => [['unreadable', error.message]])
  process.stdout.write(`${JSON.stringify({ faults: faults.slice(0, 20) })}\n`)
}
