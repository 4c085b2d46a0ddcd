/** What one tenant may have in this process at a time, so that a noisy one leaves room for the others. */
import { IdempotencyError, nodeDigest, systemRandom, tenantOf } from 'oncekey/http'

/** What a tenant has in this process. */
export interface Holding {
  requests: number
  /** Of buffered bodies. */
  bytes: number
}

/** A request that has been let in. */
export interface Guest {
  readonly holding: Holding
  leave(): void
}

type Request = Parameters<typeof tenantOf>[1]
type Options = Parameters<typeof tenantOf>[2]

/**
 * Counts requests by who asks. A tenant's running and waiting requests are its requests, so this bounds what it executes, what
 * it takes of the caps on waiters, and what goes on for it after it has hung up.
 */
export class Quota {
  readonly #most: number
  readonly #holdings = new Map<string, Holding>()
  /** Digests are compared in this process only: credentials are not kept. */
  readonly #keyed = { digest: nodeDigest, pepper: systemRandom.bytes(32) }

  constructor(most: number) {
    this.#most = most
  }

  /** One more request, which has to leave again, once. Throws `quota_exceeded`. */
  enter(...asks: [request: Request, options: Options]): Guest {
    const tenant = this.#tenantOf(...asks)
    const holding = this.#holdings.get(tenant) ?? { requests: 0, bytes: 0 }
    if (holding.requests >= this.#most) throw exceeded(`${this.#most} requests of yours run or wait already`)
    holding.requests += 1
    this.#holdings.set(tenant, holding)
    const leave = (): void => {
      holding.requests -= 1
      if (holding.requests === 0) this.#holdings.delete(tenant)
    }
    return { holding, leave }
  }

  /** Those of whom nothing is known share one quota, whatever becomes of their requests. */
  #tenantOf(...asks: [request: Request, options: Options]): string {
    try {
      return tenantOf(this.#keyed, ...asks)
    } catch {
      return ''
    }
  }
}

/** The refusal of one who has what he may have. */
export function exceeded(what: string): IdempotencyError {
  const sentence = `In this gateway ${what}, which is your share. Try again when some of them have ended.`
  return new IdempotencyError('quota_exceeded', sentence, { retryAfterMs: 1_000 })
}
