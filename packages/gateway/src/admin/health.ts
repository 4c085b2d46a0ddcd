/** Liveness and readiness. */
import type { Engine, RecordId } from 'oncekey/http'
import type { AdminAnswer } from './asked.ts'
import { AdminError } from './problem.ts'

/** What a gateway is doing, the store aside. */
export type Phase = 'starting' | 'serving' | 'draining'

/** Everybody who can reach the port may ask, so the store is asked at most this often. */
const freshMs = 500

/** Asks the store for nothing, now and then. */
export class StoreProbe {
  readonly #engine: Engine
  #asking: Promise<boolean> | undefined
  #askedMs = Number.NEGATIVE_INFINITY

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Does the store answer within a store call's time? */
  answers(): Promise<boolean> {
    const { calls, clock } = this.#engine
    const nowMs = clock.monotonicMs()
    if (this.#asking !== undefined && nowMs - this.#askedMs < freshMs) return this.#asking
    this.#askedMs = nowMs
    this.#asking = calls.within('read', calls.store.read([nobody])).then(
      () => true,
      () => false,
    )
    return this.#asking
  }
}

const nobody = 'oncekey-readiness' as RecordId

/** The process lives. */
export function live(): Promise<AdminAnswer> {
  return Promise.resolve({ status: 200, body: { status: 'alive' } })
}

/** Requests may be sent here. Throws `not_ready`, whose `reason` says why not. */
export async function ready(phase: () => Phase, probe: StoreProbe): Promise<AdminAnswer> {
  refuse(phase())
  const answers = await probe.answers()
  refuse(phase())
  if (answers) return { status: 200, body: { status: 'ready' } }
  throw new AdminError('not_ready', 'The store does not answer.', { reason: 'store' })
}

function refuse(phase: Phase): void {
  if (phase === 'starting') throw new AdminError('not_ready', 'The gateway is still starting.', { reason: 'starting' })
  if (phase === 'draining')
    throw new AdminError('not_ready', 'The gateway is stopping; what runs goes on.', { reason: 'draining' })
}
