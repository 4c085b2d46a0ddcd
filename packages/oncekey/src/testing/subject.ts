/** A store under test, with the calls of the suite in their shortest form. */
import type { Fingerprint } from '../core/fingerprint.ts'
import type { RecordId } from '../core/key.ts'
import type { KeylessAnswer, KeylessCommand } from '../core/keyless.ts'
import type { AttemptId, IdempotencyRecord } from '../core/record.ts'
import type {
  AppendAnswer,
  ClaimAnswer,
  ClaimRequest,
  PurgeAnswer,
  RenewAnswer,
  ResolveRequest,
  SettleAnswer,
  Settlement,
  Store,
  SweepReport,
} from '../core/store.ts'
import { holds, kind } from './expect.ts'

/** A store that was opened for one test, and the hands that move its clocks. */
export interface OpenedStore {
  readonly store: Store
  /** Moves all of the store's clocks forward. Exact to 100 ms. */
  advance(ms: number): Promise<void> | void
  /** Moves the wall clock alone, also backwards. */
  stepWall(ms: number): Promise<void> | void
  close(): Promise<void>
}

/** A test of the suite. `run` gets a subject, and for those that need it the second way in, or the hammer. */
export interface ConformanceCase {
  readonly name: string
  readonly needs?: 'reopen' | 'damage'
  run(subject: Subject, needed: Needed): Promise<void>
}

/** What a test asked for in `needs`. */
export interface Needed {
  reopen(): Promise<Store>
  damage(recordId: RecordId): Promise<void>
}

/** The policy of the suite's claims, in ms: long against the exactness of the clocks. */
export const usual = {
  leaseMs: 10_000,
  skewMs: 2_000,
  retentionMs: 60_000,
  tombstoneMs: 0,
} as const

/** A claim older than this can be taken over, ms. */
export const takeableMs: number = usual.leaseMs + usual.skewMs + 200

/** What a settlement says beyond whose it is. */
export type Ending = Settlement extends infer One
  ? One extends Settlement
    ? Omit<One, 'recordId' | 'attemptId'>
    : never
  : never

/** The two ends without an outcome. */
export const released: Ending = { kind: 'released', retryAfterMs: 0, digest: 'released' }
export const unknown: Ending = { kind: 'unknown', digest: 'unknown' }

/** The store, ids that no other test uses, and shorthands. Every shorthand is one call with one entry. */
export class Subject {
  readonly store: Store
  readonly #opened: OpenedStore
  readonly #run: string = Math.random().toString(36).slice(2)
  #made = 0

  constructor(opened: OpenedStore) {
    this.#opened = opened
    this.store = opened.store
  }

  async advance(ms: number): Promise<void> {
    await this.#opened.advance(ms)
  }

  async stepWall(ms: number): Promise<void> {
    await this.#opened.stepWall(ms)
  }

  /** A record id of the usual length. */
  id(): RecordId {
    return this.#name(43) as RecordId
  }

  attempt(): AttemptId {
    return this.#name(22) as AttemptId
  }

  list(): string {
    return this.#name(43)
  }

  ask(recordId: RecordId, attemptId: AttemptId, over: Partial<ClaimRequest> = {}): ClaimRequest {
    return {
      recordId,
      attemptId,
      fingerprint: `1${'f'.repeat(43)}` as Fingerprint,
      rawFingerprint: '',
      onAbandoned: 'reexecute',
      ...usual,
      ...over,
    }
  }

  async claim(id: RecordId, attempt: AttemptId, over: Partial<ClaimRequest> = {}): Promise<ClaimAnswer> {
    return only(await this.store.claim([this.ask(id, attempt, over)]))
  }

  /** A fresh attempt that must be granted. */
  async granted(id: RecordId, over: Partial<ClaimRequest> = {}): Promise<IdempotencyRecord> {
    return kind(await this.claim(id, this.attempt(), over), 'granted', 'the claim').record
  }

  async renew(recordId: RecordId, attemptId: AttemptId, leaseMs: number = usual.leaseMs): Promise<RenewAnswer> {
    return only(await this.store.renew([{ recordId, attemptId, leaseMs }]))
  }

  async settle(recordId: RecordId, attemptId: AttemptId, ending: Ending): Promise<SettleAnswer> {
    return only(await this.store.settle([{ recordId, attemptId, ...ending } as Settlement]))
  }

  /** Settles an attempt that must still be the record's. */
  async settled(recordId: RecordId, attemptId: AttemptId, ending: Ending): Promise<IdempotencyRecord> {
    return kind(await this.settle(recordId, attemptId, ending), 'recorded', 'the settle').record
  }

  /** A record that has run and ended. */
  async completed(bytes: Uint8Array, over: Partial<ClaimRequest> = {}): Promise<[RecordId, IdempotencyRecord]> {
    const id = this.id()
    const { attemptId } = await this.granted(id, over)
    return [id, await this.settled(id, attemptId, completion(bytes))]
  }

  async append(recordId: RecordId, attemptId: AttemptId, offset: number, bytes: Uint8Array): Promise<AppendAnswer> {
    return only(await this.store.append([{ recordId, attemptId, offset, bytes }]))
  }

  async record(id: RecordId): Promise<IdempotencyRecord | undefined> {
    return only(await this.store.read([id])).record
  }

  async state(id: RecordId): Promise<string> {
    return (await this.record(id))?.state ?? 'absent'
  }

  async resolve(ask: ResolveRequest): Promise<SettleAnswer> {
    return only(await this.store.resolve([ask]))
  }

  async purge(recordId: RecordId, expected: AttemptId): Promise<PurgeAnswer> {
    return only(await this.store.purge([{ recordId, expected }]))
  }

  async keyless(listId: string, command: KeylessCommand): Promise<KeylessAnswer> {
    return only(await this.store.keyless([{ listId, ...command }]))
  }

  /** The whole body, read call by call from the offset. */
  async body(id: RecordId, attempt: AttemptId, from = 0): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for (let at = from; ; ) {
      const more = await this.store.readBody(id, attempt, at)
      const length = more.reduce((sum, piece) => sum + piece.length, 0)
      if (length === 0) return concat(pieces)
      pieces.push(...more)
      at += length
    }
  }

  /** Sweeps until there is no more; what was done over all pieces. */
  async sweep(limit = 500): Promise<Omit<SweepReport, 'more'>> {
    const sum = { abandoned: 0, expired: 0, purged: 0, released: 0 }
    for (let pieces = 0; pieces < 10_000; pieces++) {
      const { more, ...done } = await this.store.sweep(limit, usual.skewMs)
      for (const step of ['abandoned', 'expired', 'purged', 'released'] as const) sum[step] += done[step]
      if (!more) return sum
    }
    throw new Error('the sweep never ends')
  }

  #name(length: number): string {
    this.#made += 1
    return `${this.#run}-${this.#made}-`.padEnd(length, '_')
  }
}

/** A completed settlement whose whole body comes with it. */
export function completion(bytes: Uint8Array, offset = 0, digest = 'outcome'): Extract<Ending, { kind: 'completed' }> {
  return { kind: 'completed', outcome: 'response', head: new Uint8Array([1, 2, 3]), rest: { offset, bytes }, digest }
}

/** Bytes of which no two pieces are alike. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    bytes[at] = state >>> 16
  }
  return bytes
}

/** One array. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

function only<Answer>(answers: readonly Answer[]): Answer {
  holds(answers.length === 1, 'one entry gets one answer')
  return answers[0] as Answer
}
