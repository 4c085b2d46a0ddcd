// A BullMQ worker that charges once for an order, however often its job is added. REDIS_URL=redis://… node examples/bullmq.mjs
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { idempotentConsumer } from 'oncekey/bullmq'
import { redisStore } from 'oncekey/redis'

const url = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
const connection = { url }
let charges = 0

// The worker.
const client = new Redis(url, { enableOfflineQueue: false })
const store = redisStore(client)
const worker = await idempotentConsumer(
  { store, onAbandoned: 'unknown', queue: 'orders', connection, onVerdict: ({ kind }) => console.log(kind) },
  async (job, attempt) => {
    await attempt.dispatching()
    return charge(job.data, { signal: attempt.signal, fence: attempt.fence })
  },
)

// The producer: the second add is the retry of one that had not heard back. BullMQ has forgotten the first job by then.
const queue = new Queue('orders', { connection })
const options = { jobId: 'order-4711', removeOnComplete: true }
for (let sent = 1; sent <= 2; sent++) {
  await queue.add('charge', { order: 4711, cents: 1200 }, options)
  while ((await queue.getJob('order-4711')) !== undefined) await new Promise((resolve) => setTimeout(resolve, 10))
}

async function charge({ order, cents }, { signal }) {
  signal.throwIfAborted()
  charges += 1
  return `charge ${charges} of ${cents} cents for order ${order}`
}
console.log(`the card was charged ${charges === 1 ? 'once' : `${charges} times`}`)

await worker.close()
await store.close()
await queue.close()
client.disconnect()
