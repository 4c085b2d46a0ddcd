/** What observers hear: one union, one function. */
import type { RecordId } from './key.ts'
import type { LostReason } from './lease.ts'
import type { GrantedBy } from './store.ts'

/** One thing that happened. Never carries a key, a credential, a prompt or an answer. */
export type OnceEvent =
  | {
      readonly kind: 'granted'
      readonly recordId: RecordId
      readonly by: GrantedBy | 'yours'
      readonly attempt: number
    }
  | { readonly kind: 'settled'; readonly recordId: RecordId; readonly as: 'completed' | 'released' | 'unknown' }
  /** A claim found that the record's owner had died with it, and nobody can tell whether it ran (T4). */
  | { readonly kind: 'abandoned'; readonly recordId: RecordId }
  | { readonly kind: 'superseded' | 'unrecorded' | 'bypassed'; readonly recordId: RecordId }
  /** Another request came under a key that is taken. */
  | { readonly kind: 'mismatch'; readonly recordId: RecordId }
  /** Somebody has waited for a running original, of this process or of another one; with whatever end. */
  | { readonly kind: 'waited'; readonly recordId: RecordId; readonly ms: number }
  /** A recorded outcome cannot be decrypted: a key is missing or, without one, the store was altered. */
  | { readonly kind: 'undecipherable'; readonly recordId: RecordId; readonly missingKey: string | undefined }
  | { readonly kind: 'lost'; readonly recordId: RecordId; readonly reason: LostReason }
  /** A call to the store, of one record or of a batch of them, and how long it took. */
  | { readonly kind: 'store_called'; readonly call: string; readonly ms: number }
  | { readonly kind: 'store_failed'; readonly call: string; readonly error: unknown }
  | {
      readonly kind: 'swept'
      readonly abandoned: number
      readonly expired: number
      readonly purged: number
      readonly released: number
    }

/** Hears events; must not throw and is not waited for. */
export type Observer = (event: OnceEvent) => void
