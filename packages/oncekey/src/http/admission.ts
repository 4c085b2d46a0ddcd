/** A tenant that has what it may keep: what is there already goes its way, and nothing is executed anew. */
import { withinBudget } from '../core/budget.ts'
import type { Engine } from '../core/engine.ts'
import type { ReadAnswer } from '../core/store.ts'
import { lastExpiryPassed } from '../core/transitions.ts'
import type { Exchanged } from './exchange.ts'
import type { Identity } from './identity.ts'

/**
 * Looks the record up, only for a tenant that is refused: replays, joins and what is unknown or still runs are no new
 * executions. Throws the refusal, and `store_unavailable` where the store is away and the route does not fail open.
 */
export async function admit(
  engine: Engine,
  { admits, route }: Exchanged,
  { tenant, recordId }: Identity,
): Promise<void> {
  const refusal = admits?.(tenant)
  if (refusal === undefined) return
  const read = await withinBudget(engine, () => engine.calls.read(recordId)).catch((error: unknown) => {
    // What is executed unprotected leaves no record.
    if (!route.policy.failOpen) throw error
  })
  if (read !== undefined && executesAnew(read)) throw refusal
}

function executesAnew({ record, nowMs }: ReadAnswer): boolean {
  return record === undefined || record.state === 'released' || lastExpiryPassed(record, { wallMs: nowMs })
}
