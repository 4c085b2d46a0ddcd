/** A queue under test, with the calls of the suite in their shortest form. */

import type { RunningAttempt } from '../core/running.ts'
import type { Store } from '../core/store.ts'
import type { Verdict } from '../queue/broker.ts'
import type { Consumer, ConsumerOptions } from '../queue/rules.ts'
import { holds } from './expect.ts'

/** What the suite starts a consumer with; the adapter under test adds its broker's own. */
export type QueueTestOptions = ConsumerOptions<unknown> & {
  readonly concurrency: number
  /** What the broker's visibility time-out is to be, ms. */
  readonly visibilityMs: number
}

/** A queue that was made for one test. */
export interface OpenedQueue {
  /** Sends a message. The same id twice is what the retry of a producer looks like. */
  send(id: string | undefined, body: unknown): Promise<void>
  /** Starts a consumer by the adapter under test. */
  consume(options: QueueTestOptions, handler: (message: unknown, attempt: RunningAttempt) => unknown): Promise<Consumer>
  /** The body of a message as it was sent. */
  bodyOf(message: unknown): unknown
  /** What lies where people look: of each message all that stands beside it, as one text. */
  parked(): Promise<readonly string[]>
  /** Messages that are neither acknowledged nor parked: waiting, in somebody's hands, delayed. */
  left(): Promise<number>
  close(): Promise<void>
}

/** Short, against brokers in real time: the shortest lease there is, and a visibility that an execution can outlast. */
const usual = { leaseMs: 500, skewMs: 100, visibilityMs: 1_200, backoffMs: 50, attempts: 3, concurrency: 4 } as const

/** One queue, one store, and what happened to both. */
export class QueueSubject {
  readonly queue: OpenedQueue
  readonly store: Store
  /** The bodies that handlers were called with, in order. */
  readonly executed: unknown[] = []
  readonly verdicts: Verdict[] = []
  readonly #consumers: Consumer[] = []
  readonly #patienceMs: number
  readonly #gates: (() => void)[] = []

  constructor(queue: OpenedQueue, store: Store, patienceMs: number) {
    this.queue = queue
    this.store = store
    this.#patienceMs = patienceMs
  }

  /** A promise, and the hand that resolves it; resolved at the end of the test at the latest. */
  gate(): { readonly opened: Promise<void>; open(): void } {
    let open = (): void => undefined
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    this.#gates.push(open)
    return { opened, open }
  }

  /** Starts a consumer whose handler notes that it was called, and then does as it is told. */
  async consume(
    work: (body: unknown, attempt: RunningAttempt) => unknown = () => undefined,
    over: Partial<QueueTestOptions> = {},
  ): Promise<Consumer> {
    const options = {
      store: this.store,
      onAbandoned: 'reexecute' as const,
      ...usual,
      onVerdict: (verdict: Verdict) => void this.verdicts.push(verdict),
      ...over,
    }
    const consumer = await this.queue.consume(options, (message, attempt) => {
      const body = this.queue.bodyOf(message)
      this.executed.push(body)
      return work(body, attempt)
    })
    this.#consumers.push(consumer)
    return consumer
  }

  /** Resolves when it holds. */
  async until(sentence: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const untilMs = performance.now() + this.#patienceMs
    while (!(await condition())) {
      const told = JSON.stringify(this.verdicts)
      holds(performance.now() < untilMs, `${sentence}, within ${this.#patienceMs / 1000} s. Verdicts: ${told}`)
      await pause(20)
    }
  }

  /** Resolves when nothing is left in the queue. */
  async empty(): Promise<void> {
    await this.left(0)
  }

  /** Resolves when so many are left. What is given back may be there twice for a moment, or told of before it is. */
  async left(count: number): Promise<void> {
    await this.until(`${count} messages are left in the queue`, async () => (await this.queue.left()) === count)
  }

  kinds(kind: Verdict['kind']): Verdict[] {
    return this.verdicts.filter((verdict) => verdict.kind === kind)
  }

  async close(): Promise<void> {
    for (const open of this.#gates) open()
    for (const consumer of this.#consumers) await consumer.close()
    await this.queue.close()
  }
}

/** Brokers keep their own time. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
