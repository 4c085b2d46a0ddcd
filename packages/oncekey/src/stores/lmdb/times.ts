/** The two clocks of a store that processes of one machine share: a monotonic one for leases, wall time for dates. */
import { readFileSync } from 'node:fs'
import type { IdempotencyRecord } from '../../core/record.ts'
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
  monotonicMs: () => Number(process.hrtime.bigint() / 1000n) / 1000,
  bootId: () => {
    try {
      return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    } catch {
      return undefined
    }
  },
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
  now: { wallMs: number; leaseMs: number },
): IdempotencyRecord {
  if (leaseEpoch === own || record.state !== 'running') return record
  return { ...record, leaseUntil: now.leaseMs - Math.max(longOverMs, now.wallMs - record.createdAt) }
}

/** What leases are counted in: the boot; without its id, the time for which some process has held the store open. */
export function leaseEpoch(environment: Environment, clock: HostClock): string {
  const bootId = clock.bootId()
  if (bootId !== undefined) return bootId
  const readers = (environment.getStats() as { numReaders?: number }).numReaders ?? 0
  const held = environment.get(keys.meta('epoch'))
  if (readers > 1 && held !== undefined) return held.toString()
  const fresh = `since ${clock.wallMs()}`
  environment.putSync(keys.meta('epoch'), Buffer.from(fresh), 1)
  return fresh
}
