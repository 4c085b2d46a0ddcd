/** When leases are renewed: at a third of the shortest, and at once where somebody asks. */
import { describe, expect, test } from 'vitest'
import type { RecordId } from '../../src/core/key.ts'
import { type HeldLease, LeaseKeeper, type LostReason } from '../../src/core/lease.ts'
import type { AttemptId } from '../../src/core/record.ts'
import type { RenewAnswer } from '../../src/core/store.ts'
import { manualClock } from '../../src/testing/clock.ts'

/** A keeper whose renewals are answered when the test says so. */
function kept() {
  const clock = manualClock()
  const calls: ((answer: RenewAnswer) => void)[] = []
  const keeper = new LeaseKeeper(
    (leases) =>
      new Promise((resolve) => {
        calls.push((answer) => resolve(leases.map(() => answer)))
      }),
    clock,
  )
  const heard: LostReason[] = []
  const lease: HeldLease = {
    recordId: 'r' as RecordId,
    attemptId: 'a' as AttemptId,
    leaseMs: 30_000,
    skewMs: 2_000,
    deadlineMs: clock.monotonicMs() + 28_000,
    lost: (reason) => heard.push(reason),
    previous: undefined,
    next: undefined,
  }
  keeper.add(lease)
  return { clock, calls, keeper, heard }
}

const cancelled: RenewAnswer = { kind: 'fenced', resolved: true }

describe('a keeper of leases', () => {
  test('renews at a third of the lease, and not before', async () => {
    const { clock, calls } = kept()
    await clock.advance(9_900)
    expect(calls).toHaveLength(0)
    await clock.advance(200)
    expect(calls).toHaveLength(1)
  })
  test('renews at once when it is asked to, and the owner hears that it was cancelled', async () => {
    const { clock, calls, keeper, heard } = kept()
    keeper.renewNow()
    await clock.advance(1)
    expect(calls).toHaveLength(1)
    calls[0]?.(cancelled)
    await clock.advance(1)
    expect(heard).toEqual(['cancelled'])
  })
  test('asked while a renewal is under way, it renews again behind it: that one may have been answered before', async () => {
    const { clock, calls, keeper, heard } = kept()
    await clock.advance(10_100)
    keeper.renewNow()
    await clock.advance(1)
    expect(calls).toHaveLength(1)
    calls[0]?.({ kind: 'renewed' })
    await clock.advance(1)
    expect([calls.length, heard]).toEqual([2, []])
    calls[1]?.(cancelled)
    await clock.advance(1)
    expect(heard).toEqual(['cancelled'])
  })
})
