/** Asks the provider, before anything is executed again, whether the operation was: policy `reconcile`. */
import type { Attempt } from '../core/attempt.ts'
import { sleep } from '../core/clock.ts'
import type { Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import { type Found, type Reconciler, reconcilerFor } from '../providers/index.ts'
import { type Concluded, Conclusion } from './conclusion.ts'
import type { Head } from './ending.ts'
import type { Exchanged } from './exchange.ts'
import type { Codings } from './replay.ts'

/**
 * What was asked for may show in a list a moment after it was made, and a call whose owner died may still be on its way:
 * its lease and the margin have passed already, and it has this much longer before its absence counts.
 */
const absentAfterMs = 5_000

/** The body with a name by which the provider's list shows it; undefined where it goes out as it is. */
export function markedBody(exchanged: Exchanged, attempt: Attempt): Uint8Array | undefined {
  return finderOf(exchanged)?.mark?.(exchanged.request.body, nameOf(attempt))
}

/**
 * Settles a recovering attempt by what the provider has; undefined when nothing is there and it may be executed. Throws
 * `in_progress` where a later look may tell, and `outcome_unknown` where none will.
 */
export async function reconcile(
  exchanged: Exchanged,
  attempt: Attempt,
  engine: Engine,
  codings: Codings,
): Promise<Concluded | undefined> {
  // Where nobody can ask here, the code that is run can: it sees that its attempt is recovering.
  if (!attempt.record.recovering || exchanged.get === undefined) return undefined
  let found = await find(exchanged, attempt)
  if (found.kind === 'absent') {
    await sleep(engine.clock, absentAfterMs)
    found = await find(exchanged, attempt)
  }
  const { recordId, policy } = attempt
  switch (found.kind) {
    case 'absent':
      return undefined
    case 'found':
      return conclude(exchanged, attempt, engine, codings, found.body)
    case 'unclear': {
      attempt.lapse()
      const sentence = `${found.why}. It is not run again; come back with the same key.`
      throw new IdempotencyError('in_progress', sentence, { recordId, retryAfterMs: policy.leaseMs + policy.skewMs })
    }
    case 'unknowable': {
      await attempt.settle({ kind: 'unknown', digest: 'unknowable' }, undefined)
      const sentence = `${found.why}, so nobody can tell whether it was executed. An operator has to resolve the record.`
      throw new IdempotencyError('outcome_unknown', sentence, { recordId, safeToUseNewKey: false })
    }
  }
}

function finderOf({ route, request, get }: Exchanged): Reconciler | undefined {
  return route.policy.onAbandoned === 'reconcile' && get !== undefined ? reconcilerFor(request.path) : undefined
}

async function find(exchanged: Exchanged, attempt: Attempt): Promise<Found> {
  const finder = finderOf(exchanged)
  const { get, request } = exchanged
  if (finder === undefined || get === undefined) {
    return { kind: 'unknowable', why: 'Nobody here knows how to find it at its provider' }
  }
  const sought = { name: nameOf(attempt), body: request.body, sinceMs: attempt.record.createdAt }
  return finder.find(sought, get)
}

/** The same for all attempts of one operation, and another one when its key is used anew after its expiry. */
function nameOf({ recordId, record }: Attempt): string {
  return `${recordId}.${Math.floor(record.createdAt)}`
}

/** Records what was found as the answer that got lost. Nothing was executed here, so nobody is charged for it. */
function conclude(
  { route, caller }: Exchanged,
  attempt: Attempt,
  { digest }: Engine,
  codings: Codings,
  body: Uint8Array,
): Promise<Concluded> {
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(body.length)]
  const head: Head = { status: 200, headers, length: body.length, framed: true, class: 'final', retryAfterMs: 0 }
  const parts = { digest, attempt, route, caller, decode: codings.decode, account: undefined }
  return new Conclusion(parts).whole(head, body)
}
