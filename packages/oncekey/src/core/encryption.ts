/** Encryption at rest as it is asked for: the keys. What it does comes with the first call that needs it. */
import { keyId } from './blob.ts'
import { IdempotencyError } from './errors.ts'

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

/** The id of the key that encrypts. Throws `config_invalid` for keys that cannot be right. */
export function checkKeys({ keys }: Encryption): string {
  const [first] = keys
  if (first === undefined) throw invalid('encryption needs at least one key')
  for (const { id, key } of keys) {
    if (!keyId.test(id)) throw invalid(`An encryption key's id must be 1–32 of letters, digits, ".", "-" and "_"`)
    if (key.length !== 32) throw invalid(`The encryption key "${id}" must be 32 bytes, not ${key.length}`)
  }
  if (new Set(keys.map(({ id }) => id)).size < keys.length) throw invalid('Two encryption keys have the same id')
  return first.id
}

function invalid(sentence: string): IdempotencyError {
  return new IdempotencyError('config_invalid', `${sentence}.`)
}
