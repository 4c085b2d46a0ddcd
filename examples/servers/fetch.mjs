// A fetch handler, as Cloudflare Workers, Deno and Bun run them, that charges once, however often it is asked.
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/fetch'

const tenant = (request) => request.headers.get('x-user') // your authentication knows better
const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown', tenant })
let charges = 0

const handler = once(async (request) => {
  const { amount } = await request.json()
  charges += 1
  return Response.json({ charge: charges, amount }, { status: 201 })
})

for (let turn = 1; turn <= 2; turn++) {
  const headers = { 'X-User': 'alice', 'Idempotency-Key': '"order-4711"' }
  const body = JSON.stringify({ amount: 5 })
  const response = await handler(new Request('http://localhost/charges', { method: 'POST', headers, body }))
  console.log(`${response.status} ${response.headers.get('Idempotency-Status')} ${await response.text()}`)
}
await once.close()
