/** What an observer hears of the store's calls: how long each took, and each that failed, those that never end among them. */

import { expect, test } from 'vitest'
import { StoreCalls } from '../../src/core/calls.ts'
import type { OnceEvent } from '../../src/core/events.ts'
import { Watch } from '../../src/core/instrument.ts'
import type { RecordId } from '../../src/core/key.ts'
import { limits } from '../../src/core/policy.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { faultyStore, manualClock } from '../../src/testing/index.ts'

const id = 'r' as RecordId

function observed(hangs: boolean) {
  const clock = manualClock()
  const memory = memoryStore(clock)
  const store = faultyStore(memory, () => undefined)
  const slow = { ...store, read: () => new Promise<never>(() => undefined) }
  const events: OnceEvent[] = []
  const calls = new StoreCalls(hangs ? slow : store, clock, new Watch((event) => events.push(event)))
  return { clock, calls, events }
}

test('a call is heard of with its name and its time', async () => {
  const { calls, events } = observed(false)
  await calls.read(id)
  await calls.within('scan', calls.store.scan(undefined, { limit: 1 }))
  await new Promise(setImmediate)
  expect(events.map((event) => event.kind === 'store_called' && event.call)).toEqual(['read', 'scan'])
  expect(events.every((event) => event.kind === 'store_called' && event.ms >= 0)).toBe(true)
})

test('one that never ends is heard of as failed once its time is over', async () => {
  const { clock, calls, events } = observed(true)
  const answer = calls.read(id).catch((error: Error) => error.message)
  await clock.advance(limits.storeTimeoutMs + 1)
  expect(await answer).toContain('did not answer within')
  expect(events).toEqual([{ kind: 'store_failed', call: 'read', error: expect.any(Error) }])
})
