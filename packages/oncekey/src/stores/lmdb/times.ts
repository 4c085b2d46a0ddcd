/** The two clocks of a store that processes of one machine share: a monotonic one for leases, wall time for dates. */
import { readFileSync } from 'node:fs'
import type { IdempotencyRecord } from '../../core/record.ts'
import type { StoreTime } from '../../core/reducer.ts'
import { type Environment, keys } from './environment.ts'

/** Where the times come from; replaced in tests. */
export interface HostClock {
  wallMs(): number
  /** CLOCK_MONOTONIC in ms: the same in all processes since the machine's start. */
  monotonicMs(): number
  /** Changes with every start of the machine; undefined where the system does not tell. */
  bootId(): string | undefined
}

/** The machine's clocks. */
export const hostClock: HostClock = {
  wallMs: () => Date.now(),
  monotonicMs: () => {
    const [seconds, nanoseconds] = process.hrtime()
    return seconds * 1e3 + nanoseconds / 1e6
  },
  bootId: () => {
    try {
      return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    } catch {
      return undefined
    }
  },
}

/** The time of one step. The floor is looked up when a grant asks for it, in the snapshot the step decides on. */
export class Moment implements StoreTime {
  readonly wallMs: number
  readonly leaseMs: number
  readonly #environment: Environment

  constructor(environment: Environment, clock: HostClock) {
    this.#environment = environment
    this.wallMs = clock.wallMs()
    this.leaseMs = clock.monotonicMs()
  }

  get fenceFloor(): number {
    return fenceFloor(this.#environment)
  }
}

/**
 * Every fence that a purge has forgotten is at most this. A purge is the only way in which a record becomes absent, and
 * while it is there its own fence is the bound: so the sweeper raises the floor, durably, before it removes anything, and
 * no claim writes a high-water mark (docs/adr/0006).
 */
export function fenceFloor(environment: Environment): number {
  return environment.get(keys.meta('fence-floor'))?.readDoubleBE(0) ?? 0
}

/** A lease of another epoch is over for at least this long, whatever margin anybody asks for. */
const longOverMs = 3_600_000

/**
 * The record as it stands on this boot's lease clock. A lease of another boot has been over since that boot ended, which
 * nobody saw: it counts from the record's creation, and as long over in any case.
 */
export function onThisClock(
  record: IdempotencyRecord,
  leaseEpoch: string,
  own: string,
  now: { readonly wallMs: number; readonly leaseMs: number },
): IdempotencyRecord {
  if (leaseEpoch === own || record.state !== 'running') return record
  return { ...record, leaseUntil: now.leaseMs - Math.max(longOverMs, now.wallMs - record.createdAt) }
}

/** Epochs that this process has begun without a boot id: whoever finds one of them shares it. */
const begun = new Set<string>()

/**
 * What leases are counted in: the boot; without its id, the time for which some process has held the store open, for
 * the first to open it cannot know whether the machine has started anew since. (Two processes that open it at once after
 * a restart take each other for its holder; a monotonic time before the epoch's own then tells the restart.)
 */
export function leaseEpoch(environment: Environment, clock: HostClock): string {
  const bootId = clock.bootId()
  if (bootId !== undefined) return bootId
  // LMDB counts its readers from the moment the first process opens the environment; this one is among them.
  const readers = (environment.getStats() as { numReaders?: number }).numReaders ?? 0
  const held = environment.get(keys.meta('epoch'))?.toString()
  if (held !== undefined) {
    const sinceMs = Number(held.split(' ')[1])
    if (begun.has(held) || (readers > 1 && clock.monotonicMs() >= sinceMs)) return held
  }
  const fresh = `since ${clock.monotonicMs()} ${clock.wallMs()}`
  begun.add(fresh)
  environment.putSync(keys.meta('epoch'), Buffer.from(fresh), 1)
  return fresh
}
