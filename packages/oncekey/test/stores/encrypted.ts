/** Any store behind encryption, with keys that tests name. */
import { createHash } from 'node:crypto'
import { encryptedStore } from '../../src/core/encrypted-store.ts'
import type { EncryptionKey } from '../../src/core/encryption.ts'
import type { Observer } from '../../src/core/events.ts'
import type { Store } from '../../src/core/store.ts'
import { nodeDigest, systemRandom } from '../../src/platform/node.ts'

/** The key of a name: always the same 32 bytes. */
export function keyNamed(id: string): EncryptionKey {
  return { id, key: createHash('sha256').update(id).digest() }
}

/** The store with what it keeps encrypted by the first key. */
export function encrypted(store: Store, ids: readonly string[] = ['k1'], observer?: Observer): Store {
  return encryptedStore({
    store,
    digest: nodeDigest,
    random: systemRandom,
    encryption: { keys: ids.map(keyNamed) },
    ...(observer === undefined ? {} : { observer }),
  })
}
