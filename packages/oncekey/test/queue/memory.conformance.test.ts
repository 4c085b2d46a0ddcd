/** The suite for queue adapters passes one that keeps to the port, and fails every one that breaks it. */
import { describe, expect, test } from 'vitest'
import { startConsumer } from '../../src/queue/index.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type ConformanceRunner, type OpenedQueue, queueConformance } from '../../src/testing/index.ts'
import { type Defect, type Mail, MemoryQueue } from './memory-broker.ts'

function open(defect?: Defect): OpenedQueue {
  const queue = new MemoryQueue()
  return {
    send: async (id, body) => queue.send({ id, body }),
    consume: ({ visibilityMs, concurrency, ...options }, handler) =>
      startConsumer<Mail>(() => queue.broker(visibilityMs, concurrency, defect), options, handler),
    bodyOf: (message) => (message as Mail).body,
    parked: async () => queue.parked,
    left: async () => queue.left,
    close: async () => undefined,
  }
}

describe('a broker in memory', () => {
  queueConformance({ test: test.concurrent }, { open: async () => open(), store: () => memoryStore() })
})

/** Runs the tests of these numbers over a broken adapter, and answers those that failed. */
async function failures(defect: Defect, wanted: readonly string[]): Promise<string[]> {
  const tests = new Map<string, () => Promise<void>>()
  const runner: ConformanceRunner = { test: (name, run) => void tests.set(name.split(' ')[0] ?? '', run) }
  queueConformance(runner, { open: async () => open(defect), store: () => memoryStore(), patienceMs: 2_000 })
  const failed: string[] = []
  await Promise.all(
    wanted.map(async (number) => {
      await tests
        .get(number)?.()
        .catch(() => failed.push(number))
    }),
  )
  return failed.sort()
}

/** Each with a test that must notice it. */
const defects: Readonly<Record<Defect, string>> = {
  'acknowledges before it asks': 'Q2',
  'loses what is given back': 'Q4',
  'gives back at once': 'Q8',
  'never extends': 'Q13',
  'parks without a reason': 'Q7',
  'loses what is parked': 'Q12',
  'runs everything at once': 'Q16',
  'does not wait at the end': 'Q15',
  'forgets the id': 'Q3',
  'boasts of its patience': 'Q14',
}

describe('the suite fails an adapter that', () => {
  test.concurrent.each(Object.entries(defects))('%s, by %s', async (defect, number) => {
    expect(await failures(defect as Defect, [number])).toEqual([number])
  })
})
