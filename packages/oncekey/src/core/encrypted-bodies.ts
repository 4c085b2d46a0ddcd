/** The bodies of an encrypted store: callers count plain bytes, the store counts those of blobs. */

import { isBlob, undecipherable } from './blob.ts'
import { type Boundary, EncryptedBody, same } from './encrypted-body.ts'
import { type BlobPlace, blobLengths, type Keyring } from './keyring.ts'
import { type AppendAnswer, type AppendRequest, inlineBodyBytes, type Store } from './store.ts'
import { concat } from './window.ts'

/** Whose body. */
export type BodyIds = Pick<BlobPlace, 'recordId' | 'attemptId'>

/** A piece at the end of a body, on its way. */
interface Sent {
  readonly at: number
  readonly ask: AppendRequest
  readonly body: EncryptedBody
  readonly from: Boundary
  readonly blobs: Uint8Array
}

interface Blob {
  readonly bytes: Uint8Array
  readonly plain: number
}

/** As many as there may be streams and waiters; a body that is forgotten is learned again from the store. */
const mostBodies = 10_000

/** Reads and writes bodies as blobs of at most 256 KiB of plain bytes each. */
export class EncryptedBodies {
  readonly #store: Store
  readonly #keyring: Keyring
  /** The least recently used first. */
  readonly #bodies = new Map<string, EncryptedBody>()

  constructor(store: Store, keyring: Keyring) {
    this.#store = store
    this.#keyring = keyring
  }

  /** All that the store has of a body, in blobs. */
  async stored({ recordId, attemptId }: BodyIds): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for (let length = 0; ; ) {
      const more = await this.#store.readBody(recordId, attemptId, length)
      if (more.length === 0) return concat(pieces, length)
      pieces.push(...more)
      length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    }
  }

  /** A piece as blobs, one behind the other. */
  encrypt(ids: BodyIds, offset: number, plain: Uint8Array): Uint8Array {
    const blobs: Uint8Array[] = []
    for (let at = 0; at < plain.length; at += inlineBodyBytes) {
      blobs.push(this.#keyring.encrypt(placeOf(ids, offset + at), plain.subarray(at, at + inlineBodyBytes)))
    }
    return joined(blobs)
  }

  /** A whole body in hand. Throws `outcome_not_replayable` unless it is all of what was written. */
  decrypt(ids: BodyIds, stored: Uint8Array, total: number): Uint8Array {
    const pieces: Uint8Array[] = []
    let plain = 0
    let at = 0
    for (const blob of split(stored)) {
      pieces.push(this.#keyring.decrypt(placeOf(ids, plain), blob.bytes))
      plain += blob.plain
      at += blob.bytes.length
    }
    if (plain !== total || at !== stored.length) throw undecipherable()
    return joined(pieces)
  }

  /** What this process knows of a body, which may be nothing yet. */
  of({ recordId, attemptId }: BodyIds): EncryptedBody {
    const name = `${recordId} ${attemptId}`
    const known = this.#bodies.get(name)
    const body = known ?? new EncryptedBody()
    if (known !== undefined) this.#bodies.delete(name)
    else if (this.#bodies.size >= mostBodies) this.#bodies.delete(this.#bodies.keys().next().value ?? '')
    this.#bodies.set(name, body)
    return body
  }

  /** Has anything been seen or written of it here? */
  knows({ recordId, attemptId }: BodyIds): boolean {
    return this.#bodies.has(`${recordId} ${attemptId}`)
  }

  /** The offset at which the store continues a body: it fits exactly if the plain one does (S11). */
  async storedOffset(ids: BodyIds, plain: number): Promise<number> {
    if (plain === 0) return 0
    const body = this.of(ids)
    if (body.end.plain !== plain) await this.#walk(ids, body)
    return body.storedOffset(plain)
  }

  /** S10. Pieces of one body in one call are appended in order. */
  async append(requests: readonly AppendRequest[]): Promise<readonly AppendAnswer[]> {
    const answers: AppendAnswer[] = []
    let sent: Sent[] = []
    const flush = async (): Promise<void> => {
      const pieces = sent
      sent = []
      if (pieces.length > 0) await this.#send(pieces, answers)
    }
    const ends = new Map<EncryptedBody, Boundary>()
    for (const [at, ask] of requests.entries()) {
      const body = this.of(ask)
      const from = ends.get(body) ?? body.end
      if (ask.offset !== from.plain || ask.bytes.length === 0) {
        await flush()
        answers[at] = await this.#again(ask)
        continue
      }
      const blobs = body.blobsOf(ask.offset, ask.bytes, () => this.encrypt(ask, ask.offset, ask.bytes))
      sent.push({ at, ask, body, from, blobs })
      ends.set(body, { plain: from.plain + ask.bytes.length, stored: from.stored + blobs.length })
    }
    await flush()
    return answers
  }

  /** S13, in plain bytes. Throws `outcome_not_replayable` for what cannot be decrypted, and for a body that was cut. */
  async read(ids: BodyIds, offset: number): Promise<readonly Uint8Array[]> {
    const body = this.of(ids)
    if (body.encrypted === false) return this.#store.readBody(ids.recordId, ids.attemptId, offset)
    for (let from = body.before(offset); ; ) {
      const stored = await this.#blobsFrom(ids, from)
      if (stored === undefined) return this.#store.readBody(ids.recordId, ids.attemptId, offset)
      if (stored.length === 0) {
        if (body.total !== undefined && from.plain < body.total) throw undecipherable()
        return []
      }
      const pieces: Uint8Array[] = []
      for (const blob of stored) {
        if (from.plain + blob.plain > offset) {
          const plain = this.#keyring.decrypt(placeOf(ids, from.plain), blob.bytes)
          pieces.push(plain.subarray(Math.max(0, offset - from.plain)))
        }
        from = { plain: from.plain + blob.plain, stored: from.stored + blob.bytes.length }
        body.reached(from)
      }
      if (pieces.length > 0) return pieces
    }
  }

  async #send(sent: readonly Sent[], answers: AppendAnswer[]): Promise<void> {
    const asks = sent.map(({ ask, from, blobs }) => ({ ...ask, offset: from.stored, bytes: blobs }))
    const kinds = await this.#store.append(asks)
    for (const [index, { at, ask, body, from, blobs }] of sent.entries()) {
      const answer = kinds[index] ?? { kind: 'refused' }
      if (answer.kind !== 'refused') this.#reached(body, from, blobs)
      // Somebody who has forgotten the body, or never knew it, may have been at its beginning by mistake.
      answers[at] = answer.kind === 'refused' ? await this.#again(ask) : answer
    }
  }

  /** A piece that is not at the end this process knows: what the store has decides. */
  async #again(ask: AppendRequest): Promise<AppendAnswer> {
    const [found] = await this.#store.read([ask.recordId])
    if (found?.record?.attemptId !== ask.attemptId || found.record.dropped) return { kind: 'refused' }
    const body = this.of(ask)
    await this.#walk(ask, body)
    const { end } = body
    if (ask.offset + ask.bytes.length <= end.plain) {
      return { kind: same(await this.#between(ask), ask.bytes) ? 'already' : 'refused' }
    }
    if (ask.offset !== end.plain) return { kind: 'refused' }
    const blobs = body.blobsOf(ask.offset, ask.bytes, () => this.encrypt(ask, ask.offset, ask.bytes))
    const [answer] = await this.#store.append([{ ...ask, offset: end.stored, bytes: blobs }])
    if (answer !== undefined && answer.kind !== 'refused') this.#reached(body, end, blobs)
    return answer ?? { kind: 'refused' }
  }

  async #between(ask: AppendRequest): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for (let length = 0; length < ask.bytes.length; ) {
      const more = await this.read(ask, ask.offset + length)
      if (more.length === 0) break
      pieces.push(...more)
      length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    }
    return joined(pieces).subarray(0, ask.bytes.length)
  }

  #reached(body: EncryptedBody, from: Boundary, blobs: Uint8Array): void {
    body.encrypted = true
    let { plain, stored } = from
    for (const blob of split(blobs)) {
      plain += blob.plain
      stored += blob.bytes.length
      body.reached({ plain, stored })
    }
  }

  /** Learns where the body ends in the store by the lengths of its blobs; what they hold is proved when it is read. */
  async #walk(ids: BodyIds, body: EncryptedBody): Promise<void> {
    for (;;) {
      const blobs = await this.#blobsFrom(ids, body.end)
      if (blobs === undefined || blobs.length === 0) return
      for (const { bytes, plain } of blobs) {
        body.reached({ plain: body.end.plain + plain, stored: body.end.stored + bytes.length })
      }
    }
  }

  /** Whole blobs from a boundary on, one at least; none where the body ends; undefined for a body that is plain. */
  async #blobsFrom({ recordId, attemptId }: BodyIds, { stored }: Boundary): Promise<readonly Blob[] | undefined> {
    const body = this.of({ recordId, attemptId })
    let held: Uint8Array = new Uint8Array(0)
    for (;;) {
      const more = await this.#store.readBody(recordId, attemptId, stored + held.length)
      if (more.length === 0 && held.length > 0) throw undecipherable()
      if (more.length === 0) return []
      held = joined([held, ...more])
      if (body.encrypted === undefined && stored === 0 && !isBlob(held)) return undefined
      const blobs = [...split(held)]
      if (blobs.length > 0) return blobs
    }
  }
}

function placeOf({ recordId, attemptId }: BodyIds, offset: number): BlobPlace {
  return { recordId, attemptId, part: 'body', offset }
}

/** The whole blobs that bytes begin with. */
function* split(stored: Uint8Array): Generator<Blob> {
  for (let rest = stored; ; ) {
    const lengths = blobLengths(rest, inlineBodyBytes)
    if (lengths === undefined || rest.length < lengths.blob) return
    yield { bytes: rest.subarray(0, lengths.blob), plain: lengths.plain }
    rest = rest.subarray(lengths.blob)
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return concat(
    pieces,
    pieces.reduce((length, piece) => length + piece.length, 0),
  )
}
