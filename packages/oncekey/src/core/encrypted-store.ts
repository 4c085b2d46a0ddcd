/** A store whose outcomes are encrypted: what goes in becomes blobs, what comes out is plain again. */

import { isBlob, isEncrypted, isUndecipherable } from './blob.ts'
import { type BodyIds, EncryptedBodies } from './encrypted-bodies.ts'
import { placeOf, plainStep } from './encrypted-steps.ts'
import type { Observer } from './events.ts'
import type { RecordId } from './key.ts'
import type { KeylessAnswer } from './keyless.ts'
import { headPart, Keyring, refusedHead } from './keyring.ts'
import type { EncryptionParts } from './late-store.ts'
import type { AttemptId, IdempotencyRecord, OutcomeKind, RecordState } from './record.ts'
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
  type StoreCapabilities,
  type SweepReport,
  type Tally,
  type TallyPage,
} from './store.ts'

/**
 * The store behind encryption. Heads and bodies are encrypted, and of a digest of an outcome only a keyed one is kept; guards,
 * times and fingerprints stay as they are. Records that were written without encryption are read as they are. An outcome that
 * cannot be decrypted keeps a head that `decodeHead` refuses (`outcome_not_replayable`), so it is neither run again nor handed out.
 */
export function encryptedStore({ store, digest, random, observer, encryption }: EncryptionParts): Store {
  if (encryption === undefined) return store
  return new EncryptedStore(store, new Keyring(encryption, digest, random), observer)
}

/** Every call is written out: one that the port gains must not pass in clear because nobody thought of it. */
class EncryptedStore implements Store {
  readonly watch?: NonNullable<Store['watch']>
  readonly settleIn?: NonNullable<Store['settleIn']>
  readonly #store: Store
  readonly #keyring: Keyring
  readonly #bodies: EncryptedBodies
  readonly #observer: Observer | undefined

  constructor(store: Store, keyring: Keyring, observer: Observer | undefined) {
    this.#store = store
    this.#keyring = keyring
    this.#bodies = new EncryptedBodies(store, keyring)
    this.#observer = observer
    if (store.watch !== undefined) this.watch = store.watch.bind(store)
    const settleIn = store.settleIn?.bind(store)
    if (settleIn !== undefined) {
      this.settleIn = async (transaction, ask) =>
        this.#settled(ask, await settleIn(transaction, await this.#settlement(ask)))
    }
  }

  get capabilities(): StoreCapabilities {
    return this.#store.capabilities
  }

  async claim(requests: readonly ClaimRequest[]): Promise<readonly ClaimAnswer[]> {
    const answers = await this.#store.claim(requests)
    return Promise.all(answers.map((answer, at) => this.#claimed((requests[at] as ClaimRequest).recordId, answer)))
  }

  async settle(settlements: readonly Settlement[]): Promise<readonly SettleAnswer[]> {
    const answers = await this.#store.settle(await Promise.all(settlements.map((ask) => this.#settlement(ask))))
    return answers.map((answer, at) => this.#settled(settlements[at] as Settlement, answer))
  }

  append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    return this.#bodies.append(requests)
  }

  async read(recordIds: readonly RecordId[]): Promise<readonly ReadAnswer[]> {
    const answers = await this.#store.read(recordIds)
    return answers.map((answer, at) => {
      return answer.record === undefined
        ? answer
        : { ...answer, record: this.#plain(recordIds[at] as RecordId, answer.record) }
    })
  }

  async readBody(recordId: RecordId, attemptId: AttemptId, offset: number): Promise<readonly Uint8Array[]> {
    const ids = { recordId, attemptId }
    // Whether a body is encrypted, and how long it must be, is in its record's head.
    if (!this.#bodies.knows(ids)) {
      const [answer] = await this.#store.read([recordId])
      if (answer?.record?.attemptId !== attemptId) return []
      this.#know(ids, answer.record, this.#plain(recordId, answer.record).bodyLength)
    }
    try {
      return await this.#bodies.read(ids, offset)
    } catch (error) {
      throw this.#noted(recordId, error)
    }
  }

  async steps(recordId: RecordId): Promise<readonly KeptStep[]> {
    try {
      return (await this.#store.steps(recordId)).map((step) => plainStep(this.#keyring, recordId, step))
    } catch (error) {
      throw this.#noted(recordId, error)
    }
  }

  async resolve(requests: readonly ResolveRequest[]): Promise<readonly SettleAnswer[]> {
    const answers = await this.#store.resolve(requests.map((ask) => this.#resolution(ask)))
    return answers.map((answer, at) => this.#answered((requests[at] as ResolveRequest).recordId, answer))
  }

  async scan(
    cursor: string | undefined,
    filter: { readonly state?: RecordState; readonly limit: number },
  ): Promise<ScanPage> {
    const page = await this.#store.scan(cursor, filter)
    const entries = page.entries.map(({ recordId, record }) => ({ recordId, record: this.#plain(recordId, record) }))
    return { ...page, entries }
  }

  renew(requests: readonly RenewRequest[]): Promise<readonly RenewAnswer[]> {
    return this.#store.renew(requests)
  }

  keyless(requests: readonly KeylessRequest[]): Promise<readonly KeylessAnswer[]> {
    return this.#store.keyless(requests)
  }

  purge(requests: readonly PurgeRequest[]): Promise<readonly PurgeAnswer[]> {
    return this.#store.purge(requests)
  }

  sweep(limit: number, skewMs: number): Promise<SweepReport> {
    return this.#store.sweep(limit, skewMs)
  }

  meta(name: string, ifAbsent: Uint8Array): Promise<Uint8Array> {
    return this.#store.meta(name, ifAbsent)
  }

  /** Counts of requests, and no part of any. */
  tally(tallies: readonly Tally[]): Promise<void> {
    return this.#store.tally(tallies)
  }

  tallies(cursor: string | undefined, prefix?: string): Promise<TallyPage> {
    return this.#store.tallies(cursor, prefix)
  }

  diagnose(): Promise<readonly Finding[]> {
    return this.#store.diagnose()
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #claimed(recordId: RecordId, answer: ClaimAnswer): Promise<ClaimAnswer> {
    if (answer.kind === 'granted') return answer
    const record = this.#plain(recordId, answer.record)
    const { head } = answer.record
    if (answer.kind !== 'held' || record.state !== 'completed' || head === undefined || !isEncrypted(head))
      return { ...answer, record }
    const { body: stored, ...rest } = answer
    const length = record.bodyLength
    if (isBlob(record.head ?? head) || length > inlineBodyBytes) return { ...rest, record }
    const ids = { recordId, attemptId: record.attemptId }
    try {
      // A small body whose blobs are too long for the store's own answer is fetched, so that the answer is whole (S5).
      const blobs = stored ?? (await this.#bodies.stored(ids))
      // A record that has gone on meanwhile has no body of this attempt: whoever needs it reads it, and begins anew.
      if (stored === undefined && blobs.length === 0 && length > 0) return { ...rest, record }
      return { ...rest, record, body: this.#bodies.decrypt(ids, blobs, length) }
    } catch (error) {
      return { ...rest, record: { ...record, head: this.#refused(recordId, error) } }
    }
  }

  async #settlement(ask: Settlement): Promise<Settlement> {
    if (ask.kind === 'head') return { ...ask, head: this.#head(ask, undefined, ask.head, 0) }
    if (ask.kind === 'step') return { ...ask, value: this.#keyring.encrypt(placeOf(ask.recordId, ask), ask.value) }
    if (ask.kind !== 'completed') return ask
    const { offset, bytes } = ask.rest
    return {
      ...ask,
      head: this.#head(ask, ask.outcome, ask.head, bodyLengthOf(ask)),
      rest: { offset: await this.#bodies.storedOffset(ask, offset), bytes: this.#bodies.encrypt(ask, offset, bytes) },
      digest: this.#keyring.keyed(ask, ask.digest),
    }
  }

  #resolution(ask: ResolveRequest): ResolveRequest {
    if (ask.outcome === undefined) return ask
    const { kind, head, body } = ask.outcome
    const ids = { recordId: ask.recordId, attemptId: ask.fresh }
    const encrypted = { kind, head: this.#head(ids, kind, head, body.length), body: this.#bodies.encrypt(ids, 0, body) }
    return { ...ask, outcome: encrypted }
  }

  /** What was just written need not be decrypted to be known. */
  #settled(ask: Settlement, answer: SettleAnswer): SettleAnswer {
    if (answer.kind === 'fenced' || ask.kind !== 'completed') return this.#answered(ask.recordId, answer)
    return { ...answer, record: { ...answer.record, head: ask.head, bodyLength: bodyLengthOf(ask) } }
  }

  #answered(recordId: RecordId, answer: SettleAnswer): SettleAnswer {
    if (answer.kind !== 'fenced') return { ...answer, record: this.#plain(recordId, answer.record) }
    return { ...answer, record: answer.record === undefined ? undefined : this.#plain(recordId, answer.record) }
  }

  /** A head's plain bytes begin with the length of the whole body, so that one that was cut is noticed. */
  #head(
    { recordId, attemptId }: BodyIds,
    outcome: OutcomeKind | undefined,
    head: Uint8Array,
    length: number,
  ): Uint8Array {
    const plain = new Uint8Array(lengthBytes + head.length)
    new DataView(plain.buffer).setFloat64(0, length)
    plain.set(head, lengthBytes)
    return this.#keyring.encrypt({ recordId, attemptId, part: headPart(outcome), offset: 0 }, plain)
  }

  /** The record in plain bytes; with the head that it has, or one that says "altered", where that cannot be. */
  #plain(recordId: RecordId, record: IdempotencyRecord): IdempotencyRecord {
    const { attemptId, head, outcome } = record
    const ids = { recordId, attemptId }
    // A small body of a completed record comes with the claim; all others are read piece by piece.
    const settled = record.state === 'completed'
    const large = !settled || record.bodyLength > inlineBodyBytes
    if (head === undefined) {
      if (record.bodyLength === 0) return record
      return { ...record, bodyLength: this.#bodies.of(ids).plainLength(record.bodyLength) }
    }
    if (!isEncrypted(head)) {
      if (large) this.#know(ids, record, record.bodyLength)
      return record
    }
    try {
      const plain = this.#keyring.decrypt({ ...ids, part: headPart(outcome), offset: 0 }, head)
      const total = new DataView(plain.buffer, plain.byteOffset).getFloat64(0)
      if (large) this.#know(ids, record, total)
      const bodyLength = settled ? total : this.#bodies.of(ids).plainLength(record.bodyLength)
      return { ...record, head: plain.subarray(lengthBytes), bodyLength }
    } catch (error) {
      return { ...record, head: this.#refused(recordId, error) }
    }
  }

  /** What a record, as the store has it, says of its body; `total` is that of a completed one. */
  #know(ids: BodyIds, { state, head }: IdempotencyRecord, total: number): void {
    const body = this.#bodies.of(ids)
    if (head !== undefined) body.encrypted = isEncrypted(head)
    if (state === 'completed') body.total = total
  }

  /** The head of an outcome that cannot be decrypted; any other error goes on. */
  #refused(recordId: RecordId, error: unknown): Uint8Array {
    const noted = this.#noted(recordId, error)
    if (!isUndecipherable(noted)) throw noted
    return refusedHead(noted.details.missingKey)
  }

  /** The same error; the observer hears of an outcome that cannot be decrypted. */
  #noted(recordId: RecordId, error: unknown): unknown {
    if (isUndecipherable(error)) {
      this.#observer?.({ kind: 'undecipherable', recordId, missingKey: error.details.missingKey })
    }
    return error
  }
}

const lengthBytes = 8

function bodyLengthOf({ outcome, rest }: Extract<Settlement, { kind: 'completed' }>): number {
  return outcome === 'omitted' ? 0 : rest.offset + rest.bytes.length
}
