/** The store of one process: a Map. For tests, scripts and single-process servers that may forget at a restart. */
import { type KeylessAnswer, type KeylessEntry, keylessStep, unexpired } from '../core/keyless.ts'
import type { RecordId } from '../core/key.ts'
import type { AttemptId, IdempotencyRecord } from '../core/record.ts'
import * as reducer from '../core/reducer.ts'
import { inlineBodyBytes, type AppendAnswer, type ReadAnswer, type ScanPage, type Store, type SweepReport } from '../core/store.ts'

interface Entry {
  readonly record: IdempotencyRecord
  /** The body of the record's attempt, in order. */
  readonly pieces: readonly Uint8Array[]
}

/** The times the store runs on; both in ms. Replaced in tests. */
export interface MemoryStoreOptions {
  readonly wallMs?: () => number
  readonly monotonicMs?: () => number
}

/** About the most that one `readBody` answers. */
const readBodyBytes = 1024 * 1024

/** Records in memory. Nothing survives the process. */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const wallMs = options.wallMs ?? Date.now
  const monotonicMs = options.monotonicMs ?? (() => performance.now())
  const entries = new Map<RecordId, Entry>()
  const lists = new Map<string, readonly KeylessEntry[]>()
  const metas = new Map<string, Uint8Array>()
  let fenceFloor = 0

  const time = (): reducer.StoreTime => ({ wallMs: wallMs(), leaseMs: monotonicMs(), fenceFloor })

  function step<Answer>(id: RecordId, decide: (record: IdempotencyRecord | undefined) => reducer.Reduction<Answer>): Answer {
    const entry = entries.get(id)
    const reduction = decide(entry?.record)
    if (reduction.record === undefined) {
      if (entry !== undefined) fenceFloor = Math.max(fenceFloor, entry.record.fence)
      entries.delete(id)
    } else if (reduction.record !== entry?.record) {
      const kept = reduction.drop === undefined ? (entry?.pieces ?? []) : []
      const pieces = reduction.write === undefined ? kept : [...kept, reduction.write.bytes]
      entries.set(id, { record: reduction.record, pieces })
    }
    return reduction.answer
  }

  function piecesFrom(id: RecordId, attemptId: AttemptId, offset: number): Uint8Array[] {
    const entry = entries.get(id)
    if (entry === undefined || entry.record.attemptId !== attemptId) return []
    return skip(entry.pieces, offset)
  }

  return {
    capabilities: { name: 'memory', clock: 'host', durability: 'none', hints: false, multiProcess: false, transactional: false },
    claim: async (requests) => {
      const now = time()
      return requests.map((ask) => {
        const answer = step(ask.recordId, (record) => reducer.claim(record, ask, now))
        if (answer.kind !== 'held' || answer.record.state !== 'completed' || answer.record.bodyLength > inlineBodyBytes) return answer
        return { ...answer, body: joined(piecesFrom(ask.recordId, answer.record.attemptId, 0)) }
      })
    },
    renew: async (requests) => requests.map((ask) => step(ask.recordId, (record) => reducer.renew(record, ask, time()))),
    settle: async (settlements) => settlements.map((ask) => step(ask.recordId, (record) => reducer.settle(record, ask, time()))),
    append: async (requests) =>
      requests.map((ask): AppendAnswer => {
        const answer = step(ask.recordId, (record) => reducer.append(record, ask))
        if (answer !== 'inside') return { kind: answer }
        const stored = joined(piecesFrom(ask.recordId, ask.attemptId, ask.offset)).subarray(0, ask.bytes.length)
        return { kind: equal(stored, ask.bytes) ? 'already' : 'refused' }
      }),
    read: async (ids) => ids.map((id): ReadAnswer => readOne(entries.get(id)?.record, time())),
    readBody: async (id, attemptId, offset) => piecesFrom(id, attemptId, offset),
    keyless: async (requests) =>
      requests.map((ask): KeylessAnswer => {
        const gone = (id: RecordId): boolean => {
          const record = entries.get(id)?.record
          return ask.kind === 'adopt' && record?.state === 'running' && reducer.leaseOver(record, ask.skewMs, time())
        }
        const { list, answer } = keylessStep(lists.get(ask.listId) ?? [], ask, wallMs(), gone)
        if (list.length === 0) lists.delete(ask.listId)
        else lists.set(ask.listId, list)
        return answer
      }),
    resolve: async (requests) => requests.map((ask) => step(ask.recordId, (record) => reducer.resolve(record, ask, time()))),
    scan: async (cursor, filter): Promise<ScanPage> => {
      const ids = [...entries.keys()].sort().filter((id) => cursor === undefined || id > cursor)
      const matching = ids.filter((id) => filter.state === undefined || entries.get(id)?.record.state === filter.state)
      const page = matching.slice(0, filter.limit).flatMap((recordId) => {
        const record = entries.get(recordId)?.record
        return record === undefined ? [] : [{ recordId, record }]
      })
      return { entries: page, cursor: matching.length > filter.limit ? page.at(-1)?.recordId : undefined }
    },
    sweep: async (limit, skewMs): Promise<SweepReport> => {
      for (const [id, list] of lists) if (unexpired(list, wallMs()).length === 0) lists.delete(id)
      const report = { abandoned: 0, expired: 0, purged: 0, released: 0, more: false }
      let changed = 0
      for (const [id, entry] of entries) {
        if (changed === limit) return { ...report, more: true }
        const answer = step(id, () => reducer.sweep(entry.record, skewMs, time()))
        if (answer === 'kept') continue
        report[answer] += 1
        changed += 1
      }
      return report
    },
    meta: async (name, ifAbsent) => {
      const held = metas.get(name) ?? ifAbsent
      metas.set(name, held)
      return held
    },
    close: async () => undefined,
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
