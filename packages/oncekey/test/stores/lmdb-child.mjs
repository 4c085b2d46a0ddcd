// Another process on an LMDB store, for the tests: node lmdb-child.mjs ROLE PATH [argument].
import { lmdbStore } from '../../dist/stores/lmdb/index.js'

const [role, path, argument] = process.argv.slice(2)

const ask = (recordId, attemptId, over = {}) => ({
  recordId,
  attemptId,
  fingerprint: 'f',
  rawFingerprint: '',
  onAbandoned: 'unknown',
  leaseMs: 30_000,
  skewMs: 0,
  retentionMs: 86_400_000,
  tombstoneMs: 0,
  ...over,
})

/** The same bytes for the same id, about as long as the id says. */
export function bodyOf(id) {
  return Buffer.from(id.repeat(1 + (id.length % 50)))
}

const roles = {
  /** Claims `id-0` to `id-(count - 1)`, some at once, and tells which it was granted. */
  async claim(store, count) {
    const granted = []
    const own = `child-${process.pid}`
    const ids = Array.from({ length: Number(count) }, (_, at) => `id-${at}`)
    process.send?.('ready')
    await new Promise((resolve) => process.once('message', resolve))
    for (let from = 0; from < ids.length; from += 25) {
      const batch = ids.slice(from, from + 25)
      const answers = await store.claim(batch.map((id) => ask(id, `${own}-${id}`)))
      for (const [at, answer] of answers.entries()) if (answer.kind === 'granted') granted.push(batch[at])
    }
    process.send?.({ granted })
  },

  /** Claims and settles for ever, telling what was acknowledged; somebody kills it. */
  async settle(store, prefix) {
    const worker = async (name) => {
      for (let at = 0; ; at++) {
        const id = `${prefix}-${name}-${at}`
        await store.claim([ask(id, `a-${id}`)])
        const body = bodyOf(id)
        const settled = {
          recordId: id,
          attemptId: `a-${id}`,
          kind: 'completed',
          outcome: 'value',
          head: Buffer.from('head'),
          rest: { offset: 0, bytes: body },
          digest: 'd',
        }
        const [answer] = await store.settle([settled])
        if (answer.kind !== 'recorded') throw new Error(`settle: ${answer.kind}`)
        process.send?.(id)
      }
    }
    await Promise.all(Array.from({ length: 16 }, (_, name) => worker(name)))
  },
}

/** Settles until the file may not grow any more, and a while longer; prints what was acknowledged and what was refused. */
async function full() {
  const store = lmdbStore(path)
  // The driver prints each failed commit; a rejection that nobody hears would end this process.
  console.error = () => {}
  const told = { acknowledged: [], lost: [], refused: 0, otherwise: 0 }
  const one = async (id) => {
    try {
      await store.claim([ask(id, 'a')])
      const rest = { offset: 0, bytes: Buffer.alloc(20_000, 1) }
      const settled = {
        recordId: id,
        attemptId: 'a',
        kind: 'completed',
        outcome: 'value',
        head: rest.bytes.subarray(0, 9),
      }
      await store.settle([{ ...settled, rest, digest: 'd' }])
      told.acknowledged.push(id)
    } catch (error) {
      if (error.code === 'store_unavailable') told.refused += 1
      else told.otherwise += 1
    }
  }
  for (let at = 0; told.refused < 40; at += 8) {
    await Promise.all(Array.from({ length: 8 }, (_, worker) => one(`id-${at + worker}`)))
  }
  for (const id of told.acknowledged) {
    const [{ record }] = await store.read([id])
    if (record?.state !== 'completed') told.lost.push(id)
  }
  console.log(JSON.stringify({ ...told, acknowledged: told.acknowledged.length }))
  process.exit(0)
}

/** Claims, settles and purges one id at another time, and prints the fence it had. */
async function purge(wallMs) {
  let nowMs = Number(wallMs)
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, bootId: () => 'boot 1' }
  const store = lmdbStore(path, { clock })
  const [{ record }] = await store.claim([ask('purged', 'child', { retentionMs: 1 })])
  await store.settle([{ recordId: 'purged', attemptId: 'child', kind: 'released', retryAfterMs: 0, digest: 'r' }])
  nowMs += 10
  let purged = 0
  for (let more = true; more; ) {
    const report = await store.sweep(100, 0)
    purged += report.purged
    more = report.more
  }
  if (purged !== 1) throw new Error(`purged ${purged}`)
  await store.close()
  console.log(record.fence)
}

if (role === 'purge') await purge(argument)
else if (role === 'full') await full()
else if (role !== undefined) {
  const store = lmdbStore(path)
  await roles[role](store, argument)
  await store.close()
  process.disconnect?.()
}
