/** The secret of a store's ids and fingerprints: given, or made once and kept in the store. */
import type { StoreCalls } from './calls.ts'
import type { Digest } from './digest.ts'
import { IdempotencyError } from './errors.ts'
import { unavailable } from './lost.ts'
import type { Random } from './random.ts'

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

/**
 * The pepper of this store, 32 bytes. Two peppers on one store would never see each other's claims, so every process
 * compares the digest of its own with the store's and refuses (`config_invalid`) to go on with another one.
 */
export async function loadPepper(
  calls: StoreCalls,
  digest: Digest,
  random: Random,
  given?: Uint8Array,
): Promise<Uint8Array> {
  if (given !== undefined && given.length !== 32) {
    throw new IdempotencyError('config_invalid', `The pepper must be 32 bytes, not ${given.length}.`)
  }
  const pepper = given ?? (await calls.within('meta', calls.store.meta('pepper', random.bytes(32))))
  const own = digest.hmac(pepper, ['pepper'])
  const held = fromUtf8.decode(await calls.within('meta', calls.store.meta('pepper-digest', utf8.encode(own))))
  if (held !== own) {
    throw new IdempotencyError(
      'config_invalid',
      'This store was begun with another pepper. Start every process on it with the same pepper.',
    )
  }
  return pepper
}

/** The pepper, or undefined where the store is away and the operation may run without it. Rejects with IdempotencyError. */
export async function pepperUnlessOpen(
  ready: Uint8Array | Promise<Uint8Array>,
  failOpen: boolean,
): Promise<Uint8Array | undefined> {
  try {
    return await ready
  } catch (error) {
    const known = error instanceof IdempotencyError ? error : unavailable('Nothing was executed.', error)
    if (failOpen && known.code === 'store_unavailable') return undefined
    throw known
  }
}
