// A server of node:http that charges once, however often it is asked.
import { once as event } from 'node:events'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/node'
import { askTwice } from './ask.mjs'

const tenant = (request) => request.headers['x-user'] // your authentication knows better
const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown', tenant })
let charges = 0

const handler = once(async (request, response) => {
  const { amount } = await json(request)
  charges += 1
  response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify({ charge: charges, amount }))
})

const server = createServer(handler).listen(0, '127.0.0.1')
await event(server, 'listening')
await askTwice(`http://127.0.0.1:${server.address().port}`)
server.close().closeAllConnections()
await once.close()
