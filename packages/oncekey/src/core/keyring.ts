/** The keys of a process, and the blob that a piece of an outcome becomes in the store. */
import { fromBase64url } from './base64url.ts'
import { blobFormat, keyIdOf, leastOverhead, nonceBytes, tagBytes, undecipherable } from './blob.ts'
import type { Digest } from './digest.ts'
import { checkKeys, type Encryption } from './encryption.ts'
import type { RecordId } from './key.ts'
import type { Random } from './random.ts'
import type { AttemptId, OutcomeKind } from './record.ts'

/** Where a blob belongs. It opens nowhere else: not in another record, attempt or part, nor at another offset. */
export interface BlobPlace {
  /** An HMAC of tenant, scope and key, so the tenant is bound with it. */
  readonly recordId: RecordId
  readonly attemptId: AttemptId
  readonly part: string
  /** Of plain bytes, in its part. */
  readonly offset: number
}

/** Stands in a record for a head that cannot be decrypted; a blob that names no key was altered. */
export function refusedHead(missing = ''): Uint8Array {
  return new Uint8Array([blobFormat, missing.length, ...utf8.encode(missing)])
}

/** The part that a head is: a completed one says of which kind of outcome, and is no other's nor that of a running stream. */
export function headPart(outcome: OutcomeKind | undefined): string {
  return outcome === undefined ? 'head' : `head of ${outcome}`
}

/** How long the blob that begins here is, and its plain bytes; undefined before its lengths are there. Throws for no blob. */
export function blobLengths(bytes: Uint8Array, mostPlain: number): { blob: number; plain: number } | undefined {
  const [format, idLength] = bytes
  if (format === undefined || idLength === undefined) return undefined
  if (format !== blobFormat || idLength === 0 || idLength > 32) throw undecipherable()
  const lengthAt = 2 + idLength + nonceBytes
  if (bytes.length < lengthAt + 4) return undefined
  const plain = new DataView(bytes.buffer, bytes.byteOffset).getUint32(lengthAt)
  if (plain > mostPlain) throw undecipherable()
  return { blob: leastOverhead + idLength + plain, plain }
}

/** The keys of a process. */
export class Keyring {
  /** What a blob of the first key is longer than its plain bytes. */
  readonly overhead: number
  readonly #keys: ReadonlyMap<string, Uint8Array>
  readonly #first: string
  readonly #digest: Digest
  readonly #random: Random
  #derived: { readonly of: string; readonly key: Uint8Array } | undefined

  /** Throws `config_invalid` for keys that cannot be right. */
  constructor({ keys }: Encryption, digest: Digest, random: Random) {
    this.#first = checkKeys({ keys })
    this.#keys = new Map(keys.map(({ id, key }) => [id, new Uint8Array(key)]))
    this.#digest = digest
    this.#random = random
    this.overhead = leastOverhead + this.#first.length
  }

  /** A blob of the plain bytes, by the first key. */
  encrypt(place: BlobPlace, plain: Uint8Array): Uint8Array {
    const head = this.overhead - tagBytes
    const blob = new Uint8Array(this.overhead + plain.length)
    blob[0] = blobFormat
    blob[1] = this.#first.length
    for (let at = 0; at < this.#first.length; at++) blob[2 + at] = this.#first.charCodeAt(at)
    blob.set(this.#random.bytes(nonceBytes), head - 4 - nonceBytes)
    new DataView(blob.buffer).setUint32(head - 4, plain.length)
    blob.set(this.#digest.encrypt(this.#binding(place, blob, this.#first), plain), head)
    return blob
  }

  /** The plain bytes of a whole blob. Throws `outcome_not_replayable` for a key that is not here, and for any change. */
  decrypt(place: BlobPlace, blob: Uint8Array): Uint8Array {
    const id = keyIdOf(blob)
    if (id === undefined || blob.length < leastOverhead + id.length) throw undecipherable()
    const encrypted = blob.subarray(leastOverhead + id.length - tagBytes)
    const plain = this.#digest.decrypt(this.#binding(place, blob, id), encrypted)
    if (plain === undefined) throw undecipherable()
    return plain
  }

  /** A digest of an outcome as the store may keep it: of a short answer a bare hash could be guessed. */
  keyed({ recordId, attemptId }: Pick<BlobPlace, 'recordId' | 'attemptId'>, digest: string): string {
    return this.#digest.hmac(this.#master(this.#first), ['oncekey outcome digest 1', recordId, attemptId, digest])
  }

  #binding({ recordId, attemptId, part, offset }: BlobPlace, blob: Uint8Array, id: string) {
    const nonceAt = 2 + id.length
    const header = blob.subarray(0, nonceAt + nonceBytes + 4)
    const place = utf8.encode(JSON.stringify([recordId, attemptId, part, offset]))
    const associated = new Uint8Array(header.length + place.length)
    associated.set(header)
    associated.set(place, header.length)
    const nonce = header.subarray(nonceAt, nonceAt + nonceBytes)
    return { key: this.#keyOf(id, recordId, attemptId), nonce, associated }
  }

  /**
   * A key for each attempt: a random nonce is safe for 2³² blobs of one key (NIST SP 800-38D, 8.3), and at 10,000
   * requests a second that would be used up in two days.
   */
  #keyOf(id: string, recordId: RecordId, attemptId: AttemptId): Uint8Array {
    const of = `${id} ${recordId} ${attemptId}`
    if (this.#derived?.of === of) return this.#derived.key
    const key = fromBase64url(this.#digest.hmac(this.#master(id), ['oncekey attempt key 1', recordId, attemptId]))
    this.#derived = { of, key }
    return key
  }

  #master(id: string): Uint8Array {
    const key = this.#keys.get(id)
    if (key === undefined) throw undecipherable(id)
    return key
  }
}

const utf8 = new TextEncoder()
