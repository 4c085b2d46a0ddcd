/** BullMQ's adapter on a real Redis: the suite, and what only BullMQ has. */
import { type Job, Queue } from 'bullmq'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisServer, startRedis } from '../../../../scripts/services.mjs'
import { idempotentConsumer } from '../../src/queue/bullmq.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type OpenedQueue, queueConformance } from '../../src/testing/index.ts'
import { chargedOnce, printedBy } from './example.ts'
import { until } from './until.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis({ settings: { appendfsync: 'no' } })
})
afterAll(() => redis.stop())

let made = 0
const connection = () => ({ host: redis.host, port: redis.port })
const idOf = (job: Job) => (job.data as { id: string }).id

/** Jobs have ids of BullMQ's own here, and the producer's in their data: BullMQ itself refuses a second job of one id. */
function open(): OpenedQueue {
  const name = `queue-${made++}`
  const queue = new Queue(name, { connection: connection() })
  return {
    send: async (id, body) => void (await queue.add('work', { id, body })),
    consume: ({ visibilityMs, ...options }, handler) =>
      idempotentConsumer(
        { ...options, queue: name, connection: connection(), worker: { lockDuration: visibilityMs }, key: idOf },
        handler,
      ),
    bodyOf: (job) => ((job as Job).data as { body: unknown }).body,
    parked: async () => (await queue.getFailed()).map(({ failedReason = '' }) => failedReason),
    left: () => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized'),
    close: () => queue.close(),
  }
}

describe('BullMQ', () => {
  queueConformance({ test: test.concurrent }, { open: async () => open(), store: () => memoryStore() })
})

describe('BullMQ alone', () => {
  test('a job of an id that was finished and removed is added again, and not executed again', async () => {
    const name = `queue-${made++}`
    const queue = new Queue(name, { connection: connection() })
    const store = memoryStore()
    const executed: unknown[] = []
    const verdicts: string[] = []
    const consumer = await idempotentConsumer(
      {
        store,
        onAbandoned: 'unknown',
        queue: name,
        connection: connection(),
        onVerdict: ({ kind }) => void verdicts.push(kind),
      },
      async (job) => {
        executed.push(job.data)
        return { paid: executed.length }
      },
    )
    const add = (removeOnComplete: boolean) => queue.add('charge', { order: 1 }, { jobId: 'order-1', removeOnComplete })
    await add(true)
    await until('the first end', async () => verdicts.length === 1 && (await queue.getJob('order-1')) === undefined)
    await add(false)
    await until('the second end', async () => (await queue.getCompletedCount()) === 1)
    // Who waits for the job gets the value of the execution.
    const value = (await queue.getJob('order-1'))?.returnvalue
    expect([executed, verdicts, value]).toEqual([[{ order: 1 }], ['acknowledge', 'acknowledge'], { paid: 1 }])
    await consumer.close()
    await queue.close()
  })

  test('a parked job stays, whatever its producer said of failed jobs', async () => {
    const name = `queue-${made++}`
    const queue = new Queue(name, { connection: connection() })
    const consumer = await idempotentConsumer(
      { store: memoryStore(), onAbandoned: 'unknown', queue: name, connection: connection(), attempts: 1 },
      () => {
        throw new Error('no')
      },
    )
    await queue.add('charge', {}, { jobId: 'order-1', removeOnFail: true, attempts: 9 })
    await until('the parking', async () => (await queue.getFailedCount()) === 1)
    expect((await queue.getFailed())[0]?.failedReason).toMatch(
      /^attempts_exhausted: 1 attempts failed, .* no \(record /,
    )
    await consumer.close()
    await queue.close()
  })

  test('its example charges once for a message that is sent twice', async () => {
    expect(await printedBy('bullmq.mjs', { REDIS_URL: redis.url })).toBe(chargedOnce)
  })
})
