/**
 * How long a claim holds, when it is renewed, and when its owner must stop.
 *
 * ```
 *  claim sent        renew         renew        local deadline      lease over        + skew
 *  ├─────────────────┼─────────────┼──────────────┤ signal fires ────┼──────────────────┤ others may take over
 *  0              lease/3       2·lease/3   lease − min(skew, lease/4)  lease
 * ```
 * The deadline is counted from when the claim was *sent*, on the owner's monotonic clock: whatever the answer's delay,
 * the store's lease starts later than that. Local time is never compared with store time.
 */
import type { Clock } from './clock.ts'
import type { RecordId } from './key.ts'
import type { AttemptId } from './record.ts'
import type { RenewAnswer, RenewRequest } from './store.ts'

/** Why an owner must stop: the lease could not be renewed in time, another owns the record, or an operator ended it. */
export type LostReason = 'lease_lost' | 'superseded' | 'cancelled' | 'shutdown'

/** A claim that is being kept alive. */
export interface HeldLease {
  readonly recordId: RecordId
  readonly attemptId: AttemptId
  readonly leaseMs: number
  readonly skewMs: number
  /** Monotonic ms of the owner's process. */
  deadlineMs: number
  lost(reason: LostReason): void
  /** The keeper's own: its list runs through the leases. */
  previous: HeldLease | undefined
  next: HeldLease | undefined
}

/** The owner's local deadline for a lease asked for at `sentMs`. */
export function deadlineOf(sentMs: number, leaseMs: number, skewMs: number): number {
  return sentMs + leaseMs - Math.min(skewMs, leaseMs / 4)
}

/** How soon a failed renewal is tried again. */
const retryMs = 500

/** Renews all live claims of the process with one batched call, at a third of the shortest lease. */
export class LeaseKeeper {
  readonly #renew: (requests: readonly RenewRequest[]) => Promise<readonly RenewAnswer[]>
  readonly #clock: Clock
  /** The newest. A list through the leases and not a Set, whose tables keep what has ended alive for the collector. */
  #newest: HeldLease | undefined
  #ticking = false
  /** Somebody asked while a renewal was under way, which may have been answered before what he wants it to meet. */
  #again = false
  #tickAtMs = Number.POSITIVE_INFINITY
  /** How far away the tick was when it was set; infinite when none is. */
  #periodMs = Number.POSITIVE_INFINITY

  constructor(renew: (requests: readonly RenewRequest[]) => Promise<readonly RenewAnswer[]>, clock: Clock) {
    this.#renew = renew
    this.#clock = clock
  }

  /** Keeps a claim alive until {@link LeaseKeeper.remove}. */
  add(lease: HeldLease): void {
    lease.next = this.#newest
    if (this.#newest !== undefined) this.#newest.previous = lease
    this.#newest = lease
    // A tick is already due before this lease needs one: nothing to set, and no look at the clock.
    if (lease.leaseMs / 3 >= this.#periodMs) return
    this.#schedule(lease.leaseMs / 3)
  }

  remove(lease: HeldLease): void {
    if (!this.#holds(lease)) return
    if (lease.previous === undefined) this.#newest = lease.next
    else lease.previous.next = lease.next
    if (lease.next !== undefined) lease.next.previous = lease.previous
    lease.previous = undefined
    lease.next = undefined
  }

  #holds(lease: HeldLease): boolean {
    return lease === this.#newest || lease.previous !== undefined
  }

  #all(): HeldLease[] {
    const leases: HeldLease[] = []
    for (let lease = this.#newest; lease !== undefined; lease = lease.next) leases.push(lease)
    return leases
  }

  /** Renews at once: a record may have been ended by somebody else, and its owner learns it by this. */
  renewNow(): void {
    if (this.#ticking) this.#again = true
    else this.#schedule(0)
  }

  /** The process is about to stop: user code hears it through its signal; renewals go on until the work has ended. */
  shutdown(): void {
    for (const lease of this.#all()) lease.lost('shutdown')
  }

  // Timers are never taken back: an early tick finds nothing due and costs less than a cancel an operation.
  #schedule(delayMs: number): void {
    const atMs = this.#clock.monotonicMs() + delayMs
    if (atMs >= this.#tickAtMs) return
    this.#tickAtMs = atMs
    this.#periodMs = delayMs
    this.#clock.setTimer(delayMs, () => void this.#tick(atMs))
  }

  async #tick(atMs: number): Promise<void> {
    if (atMs !== this.#tickAtMs) return
    this.#tickAtMs = Number.POSITIVE_INFINITY
    this.#periodMs = Number.POSITIVE_INFINITY
    // A tick that is still waiting for the store schedules the next one when it ends.
    if (this.#ticking || this.#newest === undefined) return
    this.#ticking = true
    const leases = this.#all()
    const failed = await this.#renewAll(leases)
    this.#ticking = false
    const nowMs = this.#clock.monotonicMs()
    for (const lease of this.#all()) {
      if (nowMs >= lease.deadlineMs) lease.lost('lease_lost')
    }
    if (this.#again) {
      this.#again = false
      return this.#schedule(0)
    }
    const shortestMs = leases.reduce((shortest, lease) => Math.min(shortest, lease.leaseMs), Number.POSITIVE_INFINITY)
    this.#schedule(failed ? Math.min(retryMs, shortestMs / 12) : shortestMs / 3)
  }

  async #renewAll(leases: readonly HeldLease[]): Promise<boolean> {
    const sentMs = this.#clock.monotonicMs()
    try {
      const answers = await this.#renew(leases)
      for (const [index, lease] of leases.entries()) {
        if (this.#holds(lease)) this.#judge(lease, answers[index], sentMs)
      }
      return false
    } catch {
      return true
    }
  }

  #judge(lease: HeldLease, answer: RenewAnswer | undefined, sentMs: number): void {
    if (answer?.kind === 'renewed') {
      lease.deadlineMs = deadlineOf(sentMs, lease.leaseMs, lease.skewMs)
    } else if (answer?.kind === 'fenced') {
      this.remove(lease)
      lease.lost(answer.resolved ? 'cancelled' : 'superseded')
    } else if (answer?.kind === 'unknown') {
      lease.lost('lease_lost')
    }
  }
}
