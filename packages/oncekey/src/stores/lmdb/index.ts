/** The embedded store: LMDB in a folder, durable, shared by the processes of one machine. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RecordId } from '../../core/key.ts'
import { byList, type KeylessAnswer } from '../../core/keyless.ts'
import type { AttemptId, IdempotencyRecord, RecordState } from '../../core/record.ts'
import * as reducer from '../../core/reducer.ts'
import type {
  AppendAnswer,
  AppendRequest,
  ClaimAnswer,
  ClaimRequest,
  Finding,
  KeptStep,
  KeylessRequest,
  PurgeAnswer,
  PurgeRequest,
  ReadAnswer,
  RenewAnswer,
  RenewRequest,
  ResolveRequest,
  ScanPage,
  SettleAnswer,
  Settlement,
  Store,
  SweepReport,
  Tally,
  TallyPage,
} from '../../core/store.ts'
import { bodyFrom, joined, sameBytes, smallBody } from './body.ts'
import { Entries } from './entries.ts'
import { type Environment, keys, type OpenOptions, openEnvironment } from './environment.ts'
import { keylessIn } from './keyless.ts'
import { type StepPort, steps } from './steps.ts'
import { LmdbSweep } from './sweep.ts'
import { putTallies, tallyPage } from './tallies.ts'
import { fenceFloor, type HostClock, hostClock, leaseEpoch, Moment } from './times.ts'

/** Options of the embedded store. */
export interface LmdbStoreOptions extends OpenOptions {
  /** The machine's clocks; replaced in tests. */
  readonly clock?: HostClock
}

/** Records in the LMDB environment at `path`, a folder that is made if absent. Throws `store_unavailable`. */
export function lmdbStore(path: string, options: LmdbStoreOptions = {}): Store {
  return new LmdbStore(path, options)
}

/** About the most that one `readBody` answers. */
const readBodyBytes = 1024 * 1024
/** How many records a scan looks at before it lets others have their turn. */
const scanPiece = 500

class LmdbStore implements Store, StepPort {
  readonly capabilities: Store['capabilities']
  readonly environment: Environment
  readonly entries: Entries
  readonly time: () => reducer.StoreTime
  readonly #sweep: LmdbSweep

  constructor(path: string, options: LmdbStoreOptions) {
    const environment = openEnvironment(path, options)
    const clock = options.clock ?? hostClock
    this.environment = environment
    this.entries = new Entries(environment, leaseEpoch(environment, clock))
    this.time = () => new Moment(environment, clock)
    this.#sweep = new LmdbSweep(this)
    this.capabilities = {
      name: 'lmdb',
      clock: 'host',
      durability: options.dangerouslyNoSync ? 'process' : 'disk',
      hints: false,
      multiProcess: true,
      transactional: false,
    }
  }

  async claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    const { environment } = this
    const answers = await steps(
      this,
      requests,
      (entry, ask, now) => {
        const reduction = reducer.claim(entry?.record, ask, now)
        const { answer } = reduction
        if (answer.kind !== 'held' || entry === undefined || reduction.record !== entry.record) return reduction
        const body = smallBody(environment, ask.recordId, entry)
        return body === undefined ? reduction : { record: reduction.record, answer: { ...answer, body } }
      },
      'body',
    )
    await this.#lift(requests, answers)
    return answers
  }

  renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return steps(this, requests, (entry, ask, now) => reducer.renew(entry?.record, ask, now))
  }

  settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    return steps(this, settlements, (entry, ask, now) => reducer.settle(entry?.record, ask, now))
  }

  async append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    const { environment } = this
    return steps<AppendRequest, AppendAnswer>(
      this,
      requests,
      (entry, ask) => {
        const reduction = reducer.append(entry?.record, ask)
        if (reduction.answer !== 'inside') return { ...reduction, answer: { kind: reduction.answer } }
        const { offset, bytes } = ask
        const stored = entry === undefined ? [] : bodyFrom(environment, ask.recordId, entry, offset, bytes.length)
        const same = sameBytes(joined(stored).subarray(0, bytes.length), bytes)
        return { ...reduction, answer: { kind: same ? 'already' : 'refused' } }
      },
      'body',
    )
  }

  async read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
    this.environment.resetReadTxn()
    const now = this.time()
    return recordIds.map((id): ReadAnswer => {
      const record = this.entries.read(id, now)?.record
      return { record, nowMs: now.wallMs, leaseLeftMs: record === undefined ? 0 : record.leaseUntil - now.leaseMs }
    })
  }

  async readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    this.environment.resetReadTxn()
    const entry = this.entries.read(recordId, this.time(), 'body')
    if (entry?.record.attemptId !== attemptId) return []
    return bodyFrom(this.environment, recordId, entry, offset, readBodyBytes)
  }

  async steps(recordId: RecordId): Promise<readonly KeptStep[]> {
    this.environment.resetReadTxn()
    const all = this.environment.getRange({ start: keys.step(recordId, ''), end: keys.step(recordId, '\uffff') })
    return [...all].map(({ key, value }) => ({ name: (key as string[])[2] as string, value }))
  }

  keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
    return byList(requests, (listId, asks) => keylessIn(this, listId, asks))
  }

  resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
    return steps(this, requests, (entry, ask, now) => reducer.resolve(entry?.record, ask, now))
  }

  async purge(requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]> {
    const found = await this.read(requests.map((ask) => ask.recordId))
    // A record that is another attempt's by the time it would go has another fence, and is refused.
    await this.#sweep.raiseFloor(Math.max(0, ...found.map(({ record }) => record?.fence ?? 0)))
    return steps(this, requests, (entry, ask) => reducer.purge(entry?.record, ask))
  }

  async scan(
    cursor: string | undefined,
    filter: { readonly state?: RecordState; readonly limit: number },
  ): Promise<ScanPage> {
    const entries: { recordId: RecordId; record: IdempotencyRecord }[] = []
    let after = cursor
    for (;;) {
      this.environment.resetReadTxn()
      const now = this.time()
      const start = after === undefined ? keys.first('r') : keys.record(after as RecordId)
      const page = [...this.environment.getKeys({ start, end: keys.last('r'), limit: scanPiece })]
      const ids = page.map((key) => (key as string[])[1] as RecordId).filter((id) => id !== after)
      for (const id of ids) {
        if (entries.length === filter.limit) return { entries, cursor: entries.at(-1)?.recordId }
        const record = this.entries.read(id, now)?.record
        if (record !== undefined && (filter.state ?? record.state) === record.state)
          entries.push({ recordId: id, record })
      }
      if (page.length < scanPiece) return { entries, cursor: undefined }
      after = ids.at(-1)
      await nextTurn()
    }
  }

  sweep(limit: number, skewMs: number): Promise<SweepReport> {
    return this.#sweep.next(limit, skewMs)
  }

  async meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
    const key = keys.meta(name)
    await this.environment.ifNoExists(key, () => void this.environment.put(key, Buffer.from(ifAbsent), 1))
    this.environment.resetReadTxn()
    return this.environment.get(key) ?? ifAbsent
  }

  tally(tallies: readonly Tally[]): Promise<void> {
    return putTallies(this.environment, tallies)
  }

  async tallies(cursor: string | undefined, prefix?: string): Promise<TallyPage> {
    return tallyPage(this.environment, cursor, prefix)
  }

  async diagnose(): Promise<readonly Finding[]> {
    if (this.capabilities.durability === 'process') {
      const meaning = 'A power cut can lose acknowledged outcomes or the whole store. Leave dangerouslyNoSync out.'
      return [{ check: 'durability', level: 'broken', found: 'no sync', meaning }]
    }
    const meaning = 'What was acknowledged survives a crash of any process and a power cut; not the loss of this disk.'
    return [{ check: 'durability', level: 'good', found: 'every commit is synced before it can be seen', meaning }]
  }

  async close(): Promise<void> {
    await this.environment.close()
  }

  /**
   * A first claim is decided on a snapshot in which its id is absent. If this process then stands still for so long that
   * others claim, settle and purge the id before the write is made, the fence is older than the purged one: lift it
   * above the floor before anybody hears it (I9).
   */
  async #lift(requests: readonly ClaimRequest[], answers: ClaimAnswer[]): Promise<void> {
    if (!answers.some(isFirst)) return
    this.environment.resetReadTxn()
    const floor = fenceFloor(this.environment)
    const late = answers.flatMap((answer, at) => (isFirst(answer) && answer.record.fence <= floor ? [at] : []))
    if (late.length === 0) return
    const lifted = await steps<ClaimRequest, ClaimAnswer>(
      this,
      late.map((at) => requests[at] as ClaimRequest),
      (entry, ask, now) => {
        const reduction = reducer.claim(entry?.record, ask, now)
        const { record, answer } = reduction
        if (answer.kind !== 'yours' || record === undefined) return reduction
        const raised = { ...record, fence: now.fenceFloor + 1 }
        return { record: raised, answer: { kind: 'granted', by: 'claim', record: raised } }
      },
    )
    for (const [index, at] of late.entries()) answers[at] = lifted[index] as ClaimAnswer
  }
}

function isFirst(answer: ClaimAnswer): answer is ClaimAnswer & { readonly kind: 'granted' } {
  return answer.kind === 'granted' && answer.by === 'claim'
}
