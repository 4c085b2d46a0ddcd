/** The store of one process: a Map. For tests, scripts and single-process servers that may forget at a restart. */

import type { RecordId } from '../core/key.ts'
import { type KeylessAnswer, type KeylessEntry, keylessStep, unexpired } from '../core/keyless.ts'
import type { AttemptId, IdempotencyRecord, RecordState } from '../core/record.ts'
import * as reducer from '../core/reducer.ts'
import {
  type AppendAnswer,
  type AppendRequest,
  type ClaimAnswer,
  type ClaimRequest,
  type Finding,
  inlineBodyBytes,
  type KeptStep,
  type KeylessRequest,
  type PurgeAnswer,
  type PurgeRequest,
  type ReadAnswer,
  type RenewAnswer,
  type RenewRequest,
  type ResolveRequest,
  type ScanPage,
  type SettleAnswer,
  type Settlement,
  type Store,
  type SweepReport,
  type Tally,
  type TallyPage,
} from '../core/store.ts'

interface Entry {
  readonly record: IdempotencyRecord
  /** The body of the record's attempt, in order. */
  readonly pieces: readonly Uint8Array[]
  readonly steps: ReadonlyMap<string, Uint8Array>
}

/** The times the store runs on; both in ms. Replaced in tests. */
export interface MemoryStoreOptions {
  readonly wallMs?: () => number
  readonly monotonicMs?: () => number
}

const noSteps: ReadonlyMap<string, Uint8Array> = new Map()

/** About the most that one `readBody` answers. */
const readBodyBytes = 1024 * 1024

/** Records in memory. Nothing survives the process. */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options)
}

class MemoryStore implements Store {
  readonly capabilities: Store['capabilities'] = {
    name: 'memory',
    clock: 'host',
    durability: 'none',
    hints: false,
    multiProcess: false,
    transactional: false,
  }
  readonly #wallMs: () => number
  readonly #monotonicMs: () => number
  readonly #entries = new Map<RecordId, Entry>()
  readonly #lists = new Map<string, readonly KeylessEntry[]>()
  readonly #metas = new Map<string, Uint8Array>()
  readonly #tallies = new Map<string, Tally>()
  #fenceFloor = 0

  constructor(options: MemoryStoreOptions) {
    this.#wallMs = options.wallMs ?? Date.now
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
  }

  async claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    const now = this.#time()
    return requests.map((ask) => {
      const answer = this.#step(ask.recordId, (record) => reducer.claim(record, ask, now))
      if (answer.kind !== 'held' || answer.record.state !== 'completed') return answer
      if (answer.record.bodyLength > inlineBodyBytes) return answer
      return { ...answer, body: joined(this.#pieces(ask.recordId, answer.record.attemptId, 0)) }
    })
  }

  async renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return requests.map((ask) => this.#step(ask.recordId, (record) => reducer.renew(record, ask, this.#time())))
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    return settlements.map((ask) => this.#step(ask.recordId, (record) => reducer.settle(record, ask, this.#time())))
  }

  async append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    return requests.map((ask): AppendAnswer => {
      const answer = this.#step(ask.recordId, (record) => reducer.append(record, ask))
      if (answer !== 'inside') return { kind: answer }
      const stored = joined(this.#pieces(ask.recordId, ask.attemptId, ask.offset)).subarray(0, ask.bytes.length)
      return { kind: equal(stored, ask.bytes) ? 'already' : 'refused' }
    })
  }

  async read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
    return recordIds.map((id) => readOne(this.#entries.get(id)?.record, this.#time()))
  }

  async readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    return this.#pieces(recordId, attemptId, offset)
  }

  async steps(recordId: RecordId): Promise<readonly KeptStep[]> {
    return [...(this.#entries.get(recordId)?.steps ?? [])].map(([name, value]) => ({ name, value }))
  }

  async keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
    return requests.map((ask) => {
      const gone = (id: RecordId): boolean => {
        const record = this.#entries.get(id)?.record
        return (
          ask.kind === 'adopt' && record?.state === 'running' && reducer.leaseOver(record, ask.skewMs, this.#time())
        )
      }
      const { list, answer } = keylessStep(this.#lists.get(ask.listId) ?? [], ask, this.#wallMs(), gone)
      if (list.length === 0) this.#lists.delete(ask.listId)
      else this.#lists.set(ask.listId, list)
      return answer
    })
  }

  async resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
    return requests.map((ask) => this.#step(ask.recordId, (record) => reducer.resolve(record, ask, this.#time())))
  }

  async purge(requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]> {
    return requests.map((ask) => this.#step(ask.recordId, (record) => reducer.purge(record, ask)))
  }

  async scan(
    cursor: string | undefined,
    filter: { readonly state?: RecordState; readonly limit: number },
  ): Promise<ScanPage> {
    const matching = [...this.#entries]
      .filter(
        ([id, { record }]) => (cursor === undefined || id > cursor) && (filter.state ?? record.state) === record.state,
      )
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const entries = matching.slice(0, filter.limit).map(([recordId, { record }]) => ({ recordId, record }))
    return { entries, cursor: matching.length > filter.limit ? entries.at(-1)?.recordId : undefined }
  }

  async sweep(limit: number, skewMs: number): Promise<SweepReport> {
    for (const [id, list] of this.#lists) if (unexpired(list, this.#wallMs()).length === 0) this.#lists.delete(id)
    const report = { abandoned: 0, expired: 0, purged: 0, released: 0, more: false }
    let changed = 0
    for (const [id, { record }] of this.#entries) {
      if (changed === limit) return { ...report, more: true }
      const answer = this.#step(id, () => reducer.sweep(record, skewMs, this.#time()))
      if (answer === 'kept') continue
      report[answer] += 1
      changed += 1
    }
    return report
  }

  async meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
    const held = this.#metas.get(name) ?? ifAbsent
    this.#metas.set(name, held)
    return held
  }

  async tally(tallies: readonly Tally[]): Promise<void> {
    for (const tally of tallies) {
      const key = JSON.stringify([tally.name, tally.writer])
      if (Object.keys(tally.counts).length === 0) this.#tallies.delete(key)
      else this.#tallies.set(key, { ...tally, counts: { ...tally.counts } })
    }
  }

  async tallies(_: string | undefined, prefix = ''): Promise<TallyPage> {
    return { tallies: [...this.#tallies.values()].filter(({ name }) => name.startsWith(prefix)), cursor: undefined }
  }

  async diagnose(): Promise<readonly Finding[]> {
    const meaning = 'Records are gone when this process ends: a request that is retried after that is executed again.'
    return [{ check: 'durability', level: 'broken', found: 'memory', meaning }]
  }

  async close(): Promise<void> {}

  #time(): reducer.StoreTime {
    return { wallMs: this.#wallMs(), leaseMs: this.#monotonicMs(), fenceFloor: this.#fenceFloor }
  }

  #step<Answer>(id: RecordId, decide: (record: IdempotencyRecord | undefined) => reducer.Reduction<Answer>): Answer {
    const entry = this.#entries.get(id)
    const { record, answer, drop, write, step, dropSteps } = decide(entry?.record)
    if (record === undefined) {
      if (entry !== undefined) this.#fenceFloor = Math.max(this.#fenceFloor, entry.record.fence)
      this.#entries.delete(id)
    } else if (record !== entry?.record) {
      const kept = drop === undefined ? (entry?.pieces ?? []) : []
      const steps = dropSteps || entry === undefined ? noSteps : entry.steps
      this.#entries.set(id, {
        record,
        pieces: write === undefined ? kept : [...kept, write.bytes],
        steps: step === undefined ? steps : new Map([...steps, [step.name, step.value]]),
      })
    }
    return answer
  }

  #pieces(id: RecordId, attemptId: AttemptId, offset: number): Uint8Array[] {
    const entry = this.#entries.get(id)
    if (entry === undefined || entry.record.attemptId !== attemptId) return []
    return skip(entry.pieces, offset)
  }
}

function readOne(record: IdempotencyRecord | undefined, now: reducer.StoreTime): ReadAnswer {
  return { record, nowMs: now.wallMs, leaseLeftMs: record === undefined ? 0 : record.leaseUntil - now.leaseMs }
}

function skip(pieces: readonly Uint8Array[], offset: number): Uint8Array[] {
  const rest: Uint8Array[] = []
  let at = 0
  for (const piece of pieces) {
    if (at + piece.length > offset) rest.push(piece.subarray(Math.max(0, offset - at)))
    at += piece.length
    if (at - offset >= readBodyBytes) break
  }
  return rest
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return only
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
