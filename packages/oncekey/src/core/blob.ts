/** Encrypted pieces as every reader of a record meets them: what is one, whose key it needs, and that it cannot be read. */
import { IdempotencyError } from './errors.ts'

/**
 * A blob's first byte, which is its format too; a plain head begins with the digit of its own. Then: length of the key's
 * id, the id, nonce (12), length of the plain bytes (4, big-endian), the encrypted bytes, tag (16).
 */
export const blobFormat: number = 0xe1
export const nonceBytes: number = 12
export const tagBytes: number = 16
export const keyId: RegExp = /^[\w.-]{1,32}$/

/** What a blob is longer than its plain bytes, for an id of no length. */
export const leastOverhead: number = 2 + nonceBytes + 4 + tagBytes

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
