/** Whose and which operation a request is: tenant, key or keyless ticket, fingerprint, record id. */
import type { Engine } from '../core/engine.ts'
import type { Fingerprint } from '../core/fingerprint.ts'
import { type RecordId, recordId } from '../core/key.ts'
import type { Exchanged } from './exchange.ts'
import { type RequestFingerprints, requestFingerprint } from './fingerprint.ts'
import { adopt, enter, type KeylessTicket, keylessWindowMs } from './keyless.ts'
import { Memo } from './memo.ts'
import type { Codings } from './replay.ts'
import type { Echo } from './respond.ts'
import type { Plan, RouteOptions } from './route.ts'
import { givenTenant, tenantOf } from './tenant.ts'

/** What a covered request is to the store. */
export interface Identity {
  /** With the kind of its source in front. */
  readonly tenant: string
  readonly recordId: RecordId
  readonly fingerprints: RequestFingerprints
  /** Where declared retries of the same request find each other; only for `retries`. */
  readonly keyless: KeylessTicket | undefined
  /** Was it found without a key? */
  readonly inferred: boolean
}

/** How many results are remembered: some hundred bytes each. */
const remembered = { tenants: 1_000, fingerprints: 4_096 }

/** Names operations. One for a process, for it remembers what it has worked out. */
export class Identities {
  readonly #engine: Engine
  readonly #codings: Codings
  readonly #tenants = new Memo<string>(remembered.tenants)
  readonly #fingerprints = new Memo<Fingerprint>(remembered.fingerprints)

  constructor(engine: Engine, codings: Codings) {
    this.#engine = engine
    this.#codings = codings
  }

  /**
   * Names the operation. A declared retry without a key adopts the execution it belongs to; any other keyless request
   * is an operation of its own. Throws IdempotencyError (`tenant_required`, `body_too_large`, `store_unavailable`).
   */
  async identify({ plan, route, request, tenant }: Exchanged): Promise<Identity> {
    const ready = this.#engine.ready()
    const pepper = ready instanceof Uint8Array ? ready : await ready
    const { digest } = this.#engine
    const keyed = { digest, pepper }
    const owner = tenant === undefined ? tenantOf(keyed, request, route, this.#tenants) : givenTenant(tenant)
    const options = {
      maxBodyBytes: route.maxBodyBytes,
      decode: this.#codings.decode,
      ignore: route.ignore,
      memo: this.#fingerprints,
    }
    const fingerprints = requestFingerprint(keyed, request, options)
    const place = `${request.method} ${request.path}`
    const named = (kind: string, key: string): RecordId =>
      recordId(digest, pepper, { tenant: owner, scope: `${kind} ${place}`, key })
    const known = { tenant: owner, fingerprints }
    if (plan.key !== undefined) {
      const split = route.mismatch === 'split' ? `split ${fingerprints.fingerprint}` : 'key'
      return { ...known, recordId: named(split, plan.key), keyless: undefined, inferred: false }
    }
    if (plan.keyless === 'content') {
      return { ...known, recordId: named('content', fingerprints.fingerprint), keyless: undefined, inferred: true }
    }
    const listId = digest.hmac(pepper, ['keyless', owner, place, fingerprints.fingerprint])
    const ticket = { listId, count: plan.retryCount }
    const found = await adopt(this.#engine.calls, ticket, route.policy.skewMs)
    if (found !== undefined) return { ...known, recordId: found, keyless: ticket, inferred: true }
    const fresh = digest.sha256(this.#engine.random.bytes(32)) as RecordId
    await enter(this.#engine.calls, ticket, fresh)
    return { ...known, recordId: fresh, keyless: ticket, inferred: false }
  }
}

/** The route's policy as this request narrows it: its own wait, and a short life for what has no key. */
export function policyFor(plan: Extract<Plan, { kind: 'cover' }>, route: RouteOptions): RouteOptions['policy'] {
  const { policy } = route
  const waitMs = plan.waitSeconds === undefined ? policy.waitMs : Math.min(plan.waitSeconds * 1000, policy.waitMs)
  const retentionMs = plan.key === undefined ? Math.min(policy.retentionMs, keylessWindowMs) : policy.retentionMs
  if (waitMs === policy.waitMs && retentionMs === policy.retentionMs) return policy
  return { ...policy, waitMs, retentionMs }
}

/** What every answer to a request repeats of it: its key, and the wait it asked for as far as the route allows it. */
export function echoOf({ plan, route }: Pick<Exchanged, 'plan' | 'route'>): Echo {
  const waitSeconds = plan.waitSeconds === undefined ? undefined : Math.floor(policyFor(plan, route).waitMs / 1000)
  return { key: plan.echo, waitSeconds }
}
