/** Encryption that comes with its first call: an engine without it does not carry its code. */
import type { Digest } from './digest.ts'
import { checkKeys, type Encryption } from './encryption.ts'
import type { Observer } from './events.ts'
import type { Random } from './random.ts'
import type { Store } from './store.ts'

/** A store, and what is needed to encrypt what it keeps. */
export interface EncryptionParts {
  readonly store: Store
  readonly digest: Digest
  readonly random: Random
  readonly observer?: Observer
  /** Encrypts outcomes in the store; without it the store is left as it is. */
  readonly encryption?: Encryption
}

/** Once it is there, the next engine need not wait for it. */
let encrypt: ((parts: EncryptionParts) => Store) | undefined

/** What is not known to pass in clear: a call that the port gains is encrypted or refused, because it has to be named here. */
const calls = [
  'claim',
  'renew',
  'settle',
  'append',
  'read',
  'readBody',
  'steps',
  'keyless',
  'resolve',
  'purge',
  'scan',
  'sweep',
  'meta',
  'tally',
  'tallies',
  'diagnose',
  'close',
] as const satisfies readonly (keyof Store)[]

type Call = (typeof calls)[number]
type Calls = { [Name in Call]: Store[Name] }

/** The store, behind encryption where there are keys. Throws `config_invalid` at once for keys that cannot be right. */
export function encryptedWhereAsked(parts: EncryptionParts): Store {
  const { store, encryption } = parts
  if (encryption === undefined) return store
  checkKeys(encryption)
  let here = encrypt?.(parts)
  const coming =
    here === undefined
      ? import('./encrypted-store.ts').then(({ encryptedStore }) => {
          encrypt = encryptedStore
          here = encryptedStore(parts)
          return here
        })
      : Promise.resolve(here)
  // Who calls hears of it.
  coming.catch(() => undefined)
  const late =
    (name: Call) =>
    (...args: never[]) => {
      const call = (to: Store): unknown => (to[name] as (...args: never[]) => unknown)(...args)
      return here === undefined ? coming.then(call) : call(here)
    }
  const made = Object.fromEntries(calls.map((name) => [name, late(name)])) as unknown as Calls
  const { watch, settleIn } = store
  return {
    ...made,
    get capabilities() {
      return store.capabilities
    },
    ...(watch === undefined ? {} : { watch: watch.bind(store) }),
    ...(settleIn === undefined
      ? {}
      : {
          settleIn: async (transaction, settlement) =>
            ((await coming).settleIn as typeof settleIn)(transaction, settlement),
        }),
  }
}
