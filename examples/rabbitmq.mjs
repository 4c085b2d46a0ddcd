// A RabbitMQ consumer that charges once for an order, however often its message is sent. AMQP_URL=amqp://… node examples/rabbitmq.mjs
import { connect } from 'amqplib'
import { memoryStore } from 'oncekey'
import { idempotentConsumer } from 'oncekey/rabbitmq'

const connection = await connect(process.env.AMQP_URL ?? 'amqp://127.0.0.1', { recovery: true })
const channel = await connection.createConfirmChannel()
await channel.assertQueue('orders', { durable: true, arguments: { 'x-queue-type': 'quorum' } })
let charges = 0
let verdicts = 0

// The consumer. The memory store is for examples: take lmdbStore, redisStore or postgresStore.
const store = memoryStore()
const consumer = await idempotentConsumer(
  { store, onAbandoned: 'unknown', connection, queue: 'orders', onVerdict: told },
  async (message, attempt) => {
    await attempt.dispatching()
    return charge(JSON.parse(message.content), { signal: attempt.signal, fence: attempt.fence })
  },
)

// The producer: the second send is the retry of one that had not heard back.
for (let sent = 1; sent <= 2; sent++) {
  const content = Buffer.from('{"order":4711,"cents":1200}')
  channel.sendToQueue('orders', content, { messageId: 'order-4711', persistent: true })
  await channel.waitForConfirms()
  while (verdicts < sent) await new Promise((resolve) => setTimeout(resolve, 10))
}

function told({ kind }) {
  verdicts += 1
  console.log(kind)
}
async function charge({ order, cents }, { signal }) {
  signal.throwIfAborted()
  charges += 1
  return `charge ${charges} of ${cents} cents for order ${order}`
}
console.log(`the card was charged ${charges === 1 ? 'once' : `${charges} times`}`)

await consumer.close()
await connection.close()
