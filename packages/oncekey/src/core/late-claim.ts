/** A claim whose answer came late: its lease may be over, and another attempt at work. */
import type { Attempt } from './attempt.ts'
import type { StoreCalls } from './calls.ts'
import type { Clock } from './clock.ts'
import { deadlineOf } from './lease.ts'

/** Asks once whether the claim still holds. One that does not is given up; rejects when the store does not tell. */
export async function stillHolds(
  { calls, clock }: { readonly calls: StoreCalls; readonly clock: Clock },
  attempt: Attempt,
): Promise<boolean> {
  const sentMs = clock.monotonicMs()
  const [answer] = await calls.renew([attempt]).catch((error: unknown) => {
    attempt.lapse()
    throw error
  })
  if (answer?.kind === 'renewed') attempt.deadlineMs = deadlineOf(sentMs, attempt.leaseMs, attempt.skewMs)
  else attempt.lapse()
  return answer?.kind === 'renewed'
}
