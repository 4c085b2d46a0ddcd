/** Group commit: what is gathered, what is in flight, and what becomes of calls when the store hangs. */
import { describe, expect, test } from 'vitest'
import { Batcher } from '../../src/core/batcher.ts'
import { IdempotencyError, unreadable } from '../../src/core/errors.ts'
import { limits } from '../../src/core/policy.ts'
import { manualClock } from '../../src/testing/index.ts'

const doubled = async (items: readonly number[]): Promise<number[]> => items.map((item) => item * 2)

describe('a batcher', () => {
  test('makes one call of what comes in one turn, and answers each in its place', async () => {
    const calls: (readonly number[])[] = []
    const batcher = new Batcher(async (items: readonly number[]) => {
      calls.push(items)
      return doubled(items)
    }, manualClock())
    expect(await Promise.all([1, 2, 3].map((item) => batcher.add(item)))).toEqual([2, 4, 6])
    expect(calls).toEqual([[1, 2, 3]])
  })

  test('shares out what waits among the calls that a store wants under way, but makes none too small', async () => {
    const sizes: number[] = []
    const batcher = new Batcher(
      async (items: readonly number[]) => {
        sizes.push(items.length)
        return doubled(items)
      },
      manualClock(),
      4,
    )
    const all = async (count: number): Promise<number[]> => {
      sizes.length = 0
      const answers = await Promise.all(Array.from({ length: count }, (_, item) => batcher.add(item)))
      expect(answers).toEqual(Array.from({ length: count }, (_, item) => item * 2))
      return [...sizes]
    }
    expect(await all(100)).toEqual([25, 25, 25, 25])
    expect(await all(20)).toEqual([16, 4])
    expect(await all(1)).toEqual([1])
  })

  test('asks one by one where one record fails the call of all', async () => {
    let calls = 0
    const batcher = new Batcher(async (items: readonly number[]) => {
      calls += 1
      if (items.includes(2)) throw unreadable()
      return doubled(items)
    }, manualClock())
    const answers = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)))
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(calls).toBe(4)
  })

  test('makes one call, not one an entry, of a store that is away', async () => {
    let calls = 0
    const batcher = new Batcher(async () => {
      calls += 1
      throw new IdempotencyError('store_unavailable', 'the connection was lost')
    }, manualClock())
    const answers = await Promise.allSettled([1, 2, 3].map((item) => batcher.add(item)))
    expect([calls, ...answers.map(({ status }) => status)]).toEqual([1, 'rejected', 'rejected', 'rejected'])
  })

  test('behind a store that hangs nobody waits much longer than two time-outs, however many there are', async () => {
    const clock = manualClock()
    let calls = 0
    const batcher = new Batcher(() => {
      calls += 1
      return new Promise<readonly number[]>(() => undefined)
    }, clock)
    let rejected = 0
    const count = limits.batchEntries * 10
    for (let item = 0; item < count; item++) batcher.add(item).catch(() => (rejected += 1))
    await clock.advance(limits.storeTimeoutMs * 2 + 10)
    expect(rejected).toBe(count)
    expect(calls).toBeLessThanOrEqual(limits.batchesInFlight * 2)
  })

  test('refuses more calls than its queue holds, and takes them again once the store answers', async () => {
    const clock = manualClock()
    let answer: () => void = () => undefined
    const hung = new Promise<void>((resolve) => {
      answer = resolve
    })
    const batcher = new Batcher(async (items: readonly number[]) => {
      await hung
      return doubled(items)
    }, clock)
    const waiting = Array.from({ length: limits.queuedCalls }, (_, item) => batcher.add(item))
    await expect(batcher.add(1)).rejects.toThrow('too many calls wait')
    answer()
    expect(await Promise.all(waiting)).toHaveLength(limits.queuedCalls)
    expect(await batcher.add(21)).toBe(42)
  })
})
