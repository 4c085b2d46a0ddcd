/** What every queue adapter must do, as tests: the table of docs/guide/queues.md, over a real broker. */
import type { Store } from '../core/store.ts'
import type { ConformanceRunner } from './conformance.ts'
import { queueCases } from './queue-cases.ts'
import { type OpenedQueue, QueueSubject } from './queue-subject.ts'

/** How the suite gets a queue and a store. */
export interface QueueConformanceOptions {
  /** Makes an empty queue of a name that no other test has. Called for every test. */
  open(): Promise<OpenedQueue>
  /** An empty store; `memoryStore()` will do. */
  store(): Store
  /** The broker gives every message an id, so there is no test of one without. */
  readonly alwaysAnId?: true
  /** How long what must come about may take, ms. Default 15,000. */
  readonly patienceMs?: number
}

/**
 * Registers the suite with a test runner: `queueConformance({ test }, { open, store })`. Brokers keep real time, so a test takes
 * up to 7 s, nearly all of it waiting: run them side by side (vitest's `test.concurrent`).
 */
export function queueConformance(runner: ConformanceRunner, options: QueueConformanceOptions): void {
  for (const { name, needs, run } of queueCases) {
    if (needs !== undefined && options.alwaysAnId) {
      runner.skip?.(`${name} (every message of this broker has one)`)
      continue
    }
    runner.test(name, async () => {
      const store = options.store()
      const queue = await options.open()
      const subject = new QueueSubject(queue, store, options.patienceMs ?? 15_000)
      try {
        await run(subject)
      } finally {
        await subject.close()
        await store.close()
      }
    })
  }
}
