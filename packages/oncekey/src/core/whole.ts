/** A recorded value that was too large for the claim's answer, read piece by piece. */
import type { StoreCalls } from './calls.ts'
import type { Clock } from './clock.ts'
import { IdempotencyError } from './errors.ts'
import { Follower } from './follow.ts'
import type { Asked } from './operation.ts'
import type { IdempotencyRecord } from './record.ts'

/** The whole body of a completed record. Rejects (`store_unavailable`, `outcome_not_replayable`). */
export function wholeBody(
  { calls, clock }: { readonly calls: StoreCalls; readonly clock: Clock },
  { recordId, policy }: Asked,
  record: IdempotencyRecord,
): Promise<Uint8Array> {
  const follower = new Follower({ calls, clock, recordId, record, skewMs: policy.skewMs })
  const whole = new Uint8Array(record.bodyLength)
  return new Promise((resolve, reject) => {
    follower.wake = () => {
      for (
        let at = follower.offset, bytes = follower.read();
        bytes !== undefined;
        at = follower.offset, bytes = follower.read()
      )
        whole.set(bytes, at)
      if (follower.state === 'ended') resolve(whole)
      if (follower.state === 'cut')
        reject(
          follower.refusal ??
            new IdempotencyError('store_unavailable', 'The recorded value could not be read. Try again.'),
        )
    }
    follower.wake()
  })
}
