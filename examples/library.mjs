// One operation, asked for twice: the first call runs it, the second gets the recorded value.
import { createIdempotency, memoryStore } from 'oncekey'

const store = memoryStore()
const once = createIdempotency({ store, onAbandoned: 'unknown' })
const order = { id: 4711, prompt: 'Summarise the contract in three sentences.' }
let calls = 0

async function callModel(prompt, { signal, fence }) {
  signal.throwIfAborted()
  calls += 1
  return `answer ${calls} to "${prompt}" (fence ${fence > 0})`
}

for (let turn = 1; turn <= 2; turn++) {
  const operation = { tenant: 'acme', scope: 'summary', key: `order-${order.id}`, input: order }
  const { status, value } = await once.runDetailed(operation, async (attempt) => {
    await attempt.dispatching()
    return callModel(order.prompt, { signal: attempt.signal, fence: attempt.fence })
  })
  console.log(`${status}: ${value}`)
}
console.log(`the model was called ${calls === 1 ? 'once' : `${calls} times`}`)

await once.close()
await store.close()
