// A NATS JetStream consumer that charges once for an order, however often its message is sent. NATS_URL=nats://… node examples/nats.mjs
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { memoryStore } from 'oncekey'
import { idempotentConsumer } from 'oncekey/nats'

const connection = await connect({ servers: process.env.NATS_URL ?? 'nats://127.0.0.1:4222' })
const manager = await jetstreamManager(connection)
// The stream sees through a second send for 100 ms, so that the example need not wait two minutes, which is the usual.
await manager.streams.add({ name: 'orders', subjects: ['orders.*'], duplicate_window: 100 * 1e6 })
let charges = 0
let verdicts = 0

// The consumer. The memory store is for examples: take lmdbStore, redisStore or postgresStore.
const store = memoryStore()
const consumer = await idempotentConsumer(
  { store, onAbandoned: 'unknown', connection, stream: 'orders', consumer: 'charger', onVerdict: told },
  async (message, attempt) => {
    await attempt.dispatching()
    return charge(message.json(), { signal: attempt.signal, fence: attempt.fence })
  },
)

// The producer: the second send is the retry of one that had not heard back.
for (let sent = 1; sent <= 2; sent++) {
  await manager.jetstream().publish('orders.new', '{"order":4711,"cents":1200}', { msgID: 'order-4711' })
  while (verdicts < sent) await pause(10)
  await pause(200)
}

function told({ kind }) {
  verdicts += 1
  console.log(kind)
}
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
async function charge({ order, cents }, { signal }) {
  signal.throwIfAborted()
  charges += 1
  return `charge ${charges} of ${cents} cents for order ${order}`
}
console.log(`the card was charged ${charges === 1 ? 'once' : `${charges} times`}`)

await consumer.close()
await connection.close()
