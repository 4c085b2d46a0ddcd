/** Encryption at rest: the keys, and the blob that a piece of an outcome becomes in the store. */
import { fromBase64url } from './base64url.ts'
import type { Digest } from './digest.ts'
import { IdempotencyError } from './errors.ts'
import type { RecordId } from './key.ts'
import type { Random } from './random.ts'
import type { AttemptId, OutcomeKind } from './record.ts'

/** One key, by a name that is written beside everything it has encrypted. */
export interface EncryptionKey {
  /** 1–32 of letters, digits, dot, dash and underscore. */
  readonly id: string
  /** 32 bytes. */
  readonly key: Uint8Array
}

/** The `encryption` option: the first key encrypts, all decrypt, so that keys can be rotated. */
export interface Encryption {
  readonly keys: readonly EncryptionKey[]
}

/** Where a blob belongs. It opens nowhere else: not in another record, attempt or part, nor at another offset. */
export interface BlobPlace {
  /** An HMAC of tenant, scope and key, so the tenant is bound with it. */
  readonly recordId: RecordId
  readonly attemptId: AttemptId
  readonly part: string
  /** Of plain bytes, in its part. */
  readonly offset: number
}

/**
 * A blob's first byte, which is its format too; a plain head begins with the digit of its own. Then: length of the key's
 * id, the id, nonce (12), length of the plain bytes (4, big-endian), the encrypted bytes, tag (16).
 */
const blobFormat = 0xe1
const nonceBytes = 12
const tagBytes = 16
const keyId = /^[\w.-]{1,32}$/

/** What a blob is longer than its plain bytes, for an id of no length. */
export const leastOverhead: number = 2 + nonceBytes + 4 + tagBytes

/** Stands in a record for a head that cannot be decrypted; a blob that names no key was altered. */
export function refusedHead(missing = ''): Uint8Array {
  return new Uint8Array([blobFormat, missing.length, ...utf8.encode(missing)])
}

/** The part that a head is: a completed one says of which kind of outcome, and is no other's nor that of a running stream. */
export function headPart(outcome: OutcomeKind | undefined): string {
  return outcome === undefined ? 'head' : `head of ${outcome}`
}

/** Is this head not a plain one, which begins with the digit of its format? Then it has to be decrypted. */
export function isEncrypted([first = 0]: Uint8Array): boolean {
  return first < 0x30 || first > 0x39
}

/** Do these bytes begin as a blob does? A plain body may, too. */
export function isBlob(bytes: Uint8Array): boolean {
  return bytes[0] === blobFormat
}

/** The id of the key that a blob was encrypted with; undefined for what is no blob. */
export function keyIdOf(bytes: Uint8Array): string | undefined {
  if (!isBlob(bytes)) return undefined
  const id = String.fromCharCode(...bytes.subarray(2, 2 + (bytes[1] ?? 0)))
  return keyId.test(id) ? id : undefined
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

/** The refusal of an outcome that cannot be decrypted here; without a missing key's id it has been altered. */
export function undecipherable(missing?: string): IdempotencyError {
  const why =
    missing === undefined
      ? 'its recorded answer fails its authentication: somebody has altered the store, or a disk has.'
      : `its answer is encrypted with the key "${missing}", which this process does not have. Give it that key again.`
  const sentence = `The original request was executed, but ${why} It is not run again; a new idempotency key would execute and bill it anew.`
  return new IdempotencyError('outcome_not_replayable', sentence, {
    safeToUseNewKey: false,
    ...(missing === undefined ? {} : { missingKey: missing }),
  })
}

/** Is it that refusal? */
export function isUndecipherable(error: unknown): error is IdempotencyError {
  return error instanceof IdempotencyError && error.code === 'outcome_not_replayable'
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
    const [first] = keys
    if (first === undefined) throw invalid('encryption needs at least one key')
    for (const { id, key } of keys) {
      if (!keyId.test(id)) throw invalid(`An encryption key's id must be 1–32 of letters, digits, ".", "-" and "_"`)
      if (key.length !== 32) throw invalid(`The encryption key "${id}" must be 32 bytes, not ${key.length}`)
    }
    this.#keys = new Map(keys.map(({ id, key }) => [id, new Uint8Array(key)]))
    if (this.#keys.size < keys.length) throw invalid('Two encryption keys have the same id')
    this.#first = first.id
    this.#digest = digest
    this.#random = random
    this.overhead = leastOverhead + first.id.length
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

function invalid(sentence: string): IdempotencyError {
  return new IdempotencyError('config_invalid', `${sentence}.`)
}
