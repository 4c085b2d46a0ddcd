/** How long a caller is held while the store is away (protocol.md, Store outage). */

import { type Clock, sleep } from './clock.ts'
import { unavailable } from './lost.ts'
import { limits } from './policy.ts'
import type { Random } from './random.ts'

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
