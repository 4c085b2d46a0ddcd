// A handler of Koa that charges once, however often it is asked.
import { once as event } from 'node:events'
import { json } from 'node:stream/consumers'
import Koa from 'koa'
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/koa'
import { askTwice } from './ask.mjs'

const tenant = (context) => context.get('x-user') // your authentication knows better
const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown', tenant })
let charges = 0

const app = new Koa().use(once).use(async (context) => {
  const { amount } = await json(context.req)
  charges += 1
  context.status = 201
  context.body = { charge: charges, amount }
})

const server = app.listen(0, '127.0.0.1')
await event(server, 'listening')
await askTwice(`http://127.0.0.1:${server.address().port}`)
server.close().closeAllConnections()
await once.close()
