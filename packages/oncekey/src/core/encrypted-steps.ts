/** Steps in an encrypted store: each value is one blob, which only its own record and name can open. */
import { isBlob } from './blob.ts'
import type { RecordId } from './key.ts'
import type { BlobPlace, Keyring } from './keyring.ts'
import type { AttemptId } from './record.ts'
import type { KeptStep } from './store.ts'

/** Where a step's blob belongs: to the record, for a step outlives the attempt that made it. */
export function placeOf(recordId: RecordId, { name }: Pick<KeptStep, 'name'>): BlobPlace {
  return { recordId, attemptId: '' as AttemptId, part: `step ${name}`, offset: 0 }
}

/** The step in plain bytes; one that was written without encryption as it is. Throws `outcome_not_replayable`. */
export function plainStep(keyring: Keyring, recordId: RecordId, { name, value }: KeptStep): KeptStep {
  return { name, value: isBlob(value) ? keyring.decrypt(placeOf(recordId, { name }), value) : value }
}
