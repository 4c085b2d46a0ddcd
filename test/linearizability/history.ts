/** Real histories: clients that race for a few records of a store, and what each of them heard and when. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Fingerprint } from '../../packages/oncekey/src/core/fingerprint.ts'
import type { RecordId } from '../../packages/oncekey/src/core/key.ts'
import type { AttemptId } from '../../packages/oncekey/src/core/record.ts'
import type { ClaimRequest, Settlement, Store } from '../../packages/oncekey/src/core/store.ts'
import { seeded } from '../simulation/simulator.ts'
import { linearize } from './checker.ts'
import { absent, callOf, type Heard, keyOf } from './record.ts'

/** So short that leases run out and are taken over all the time. */
const times = { leaseMs: 30, skewMs: 10, retentionMs: 3_600_000, tombstoneMs: 0 } as const
const callsAClient = 24

/** What happened to each record. */
export type History = ReadonlyMap<RecordId, readonly Heard[]>

/**
 * Lets six clients race for three records, each client over one of the stores, in turn. `now` is the time of the stores'
 * own clock, ms, as far as anybody can tell: it may be `apartMs` off. A call that fails counts as one without an answer.
 */
export async function race(stores: readonly Store[], seed: number, now: () => number, apartMs = 0): Promise<History> {
  const history = new Map<RecordId, Heard[]>()
  const run = `${seed}-${Math.random().toString(36).slice(2)}-`
  const ids = [0, 1, 2].map((at) => `${run}${at}`.padEnd(43, '_') as RecordId)
  for (const id of ids) history.set(id, [])
  const clients = Array.from({ length: 6 }, (_, at) => {
    const store = stores[at % stores.length] as Store
    return client(store, `${seed}${at}`, seeded(seed * 10 + at), ids, history, { now, apartMs })
  })
  await Promise.all(clients)
  return history
}

interface Time {
  readonly now: () => number
  readonly apartMs: number
}

async function client(
  store: Store,
  name: string,
  chance: () => number,
  ids: readonly RecordId[],
  history: ReadonlyMap<RecordId, Heard[]>,
  time: Time,
): Promise<void> {
  const pick = (below: number): number => Math.floor(chance() * below)
  const own = new Map<RecordId, AttemptId>()
  for (let made = 0; made < callsAClient; made++) {
    const recordId = ids[pick(ids.length)] as RecordId
    const attemptId = own.get(recordId)
    const luck = chance()
    const invokedAt = time.now() - time.apartMs
    const noted = history.get(recordId)
    if (luck < 0.15) {
      const [answer] = await store.read([recordId]).catch(() => [])
      noted?.push({ kind: 'read', invokedAt, ...returned(time, answer) })
    } else if (attemptId === undefined || luck < 0.35) {
      const fresh = `a${name}-${made}`.padEnd(22, '_') as AttemptId
      const ask = claimOf(recordId, fresh, chance() < 0.5)
      const [answer] = await store.claim([ask]).catch(() => [])
      if (answer?.kind === 'granted') own.set(recordId, fresh)
      noted?.push({ kind: 'claim', ask, invokedAt, ...returned(time, answer) })
    } else if (luck < 0.5) {
      const ask = { recordId, attemptId, leaseMs: times.leaseMs }
      const [answer] = await store.renew([ask]).catch(() => [])
      noted?.push({ kind: 'renew', ask, invokedAt, ...returned(time, answer) })
    } else {
      const ask = settlementOf(recordId, attemptId, pick(8))
      const [answer] = await store.settle([ask]).catch(() => [])
      noted?.push({ kind: 'settle', ask, invokedAt, ...returned(time, answer) })
    }
    if (chance() < 0.3) await pause(chance() * 40)
  }
}

/** The moment of the answer, or that there was none. */
function returned<Answer>({ now, apartMs }: Time, answer: Answer | undefined): { returnedAt: number; answer?: Answer } {
  return answer === undefined ? { returnedAt: Number.POSITIVE_INFINITY } : { returnedAt: now() + apartMs, answer }
}

function claimOf(recordId: RecordId, attemptId: AttemptId, careful: boolean): ClaimRequest {
  const fingerprint = '1same' as Fingerprint
  const onAbandoned = careful ? 'unknown' : 'reexecute'
  return { recordId, attemptId, fingerprint, rawFingerprint: '', onAbandoned, ...times }
}

/** Completed is rare, for nothing happens to a record afterwards. */
function settlementOf(recordId: RecordId, attemptId: AttemptId, kind: number): Settlement {
  const ids = { recordId, attemptId }
  if (kind < 3) return { ...ids, kind: 'dispatched' }
  if (kind < 6) return { ...ids, kind: 'released', retryAfterMs: 0, digest: 'released' }
  if (kind < 7) return { ...ids, kind: 'unknown', digest: 'unknown' }
  const rest = { offset: 0, bytes: new Uint8Array([1]) }
  return { ...ids, kind: 'completed', outcome: 'value', head: new Uint8Array([1]), rest, digest: attemptId }
}

/** The records of which no order explains what was heard, each with its history in words. */
export function unexplained(history: History): string[] {
  return [...history]
    .filter(([, heard]) => linearize(absent, heard.map(callOf), keyOf) === undefined)
    .map(
      ([id, heard]) =>
        `${id}\n${heard.map((one) => `${one.invokedAt}–${one.returnedAt} ${callOf(one).name}`).join('\n')}`,
    )
}
