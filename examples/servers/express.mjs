// A route of Express that charges once, however often it is asked.
import { once as event } from 'node:events'
import express from 'express'
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/express'
import { askTwice } from './ask.mjs'

const tenant = (request) => request.get('x-user') // your authentication knows better
const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown', tenant })
const app = express()
let charges = 0

app.post('/charges', once, express.json(), (request, response) => {
  charges += 1
  response.status(201).json({ charge: charges, amount: request.body.amount })
})

const server = app.listen(0, '127.0.0.1')
await event(server, 'listening')
await askTwice(`http://127.0.0.1:${server.address().port}`)
server.close().closeAllConnections()
await once.close()
