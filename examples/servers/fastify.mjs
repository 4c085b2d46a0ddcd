// A route of Fastify that charges once, however often it is asked. The plugin closes with the app.
import Fastify from 'fastify'
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/fastify'
import { askTwice } from './ask.mjs'

const tenant = (request) => request.headers['x-user'] // your authentication knows better
const app = Fastify({ forceCloseConnections: true })
let charges = 0

await app.register(idempotency, { store: memoryStore(), onAbandoned: 'unknown', tenant })
app.post('/charges', async (request, reply) => {
  charges += 1
  return reply.code(201).send({ charge: charges, amount: request.body.amount })
})

await askTwice(await app.listen({ port: 0, host: '127.0.0.1' }))
await app.close()
