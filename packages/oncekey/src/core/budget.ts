/** How long a caller is held while the store is away (protocol.md, Store outage). */

import type { StoreCalls } from './calls.ts'
import { type Clock, sleep } from './clock.ts'
import { unavailable } from './lost.ts'
import { limits } from './policy.ts'
import type { Random } from './random.ts'
import type { ClaimRequest } from './store.ts'

/** First pause between tries and the longest one, ms. */
const pauses = { firstMs: 25, capMs: 1000 }

/**
 * Tries a store call again until it is answered or `limits.storeBudgetMs` are over; then throws `store_unavailable`, which
 * says that nothing was executed. The call must be one that may be made twice, for a try that failed may have happened.
 */
export async function withinBudget<T>(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  call: () => Promise<T>,
): Promise<T> {
  const untilMs = clock.monotonicMs() + limits.storeBudgetMs
  for (let pauseMs = pauses.firstMs; ; pauseMs = Math.min(pauseMs * 2, pauses.capMs)) {
    try {
      return await call()
    } catch (error) {
      if (clock.monotonicMs() + pauseMs > untilMs) throw unavailable('Nothing was executed.', error)
      await sleep(clock, pauseMs * (0.75 + random.fraction() / 2))
    }
  }
}

/** A claim whose answer never came may have been granted: release it, so that the key is not held by nobody. */
export async function disown(
  { calls, clock }: { readonly calls: StoreCalls; readonly clock: Clock },
  { recordId, attemptId, leaseMs }: ClaimRequest,
  sentMs: number,
): Promise<void> {
  while (clock.monotonicMs() < sentMs + leaseMs) {
    await sleep(clock, 500)
    const release = { kind: 'released', recordId, attemptId, retryAfterMs: 0, digest: 'disowned' } as const
    if ((await calls.settle(release).catch(() => undefined)) !== undefined) return
  }
}
