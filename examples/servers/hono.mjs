// A route of Hono that charges once, however often it is asked; the app runs on any fetch runtime.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/hono'
import { askTwice } from './ask.mjs'

const tenant = (context) => context.req.header('x-user') // your authentication knows better
const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown', tenant })
let charges = 0

const app = new Hono().post('/charges', once, async (context) => {
  const { amount } = await context.req.json()
  charges += 1
  return context.json({ charge: charges, amount }, 201)
})

const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, async ({ port }) => {
  await askTwice(`http://127.0.0.1:${port}`)
  server.close().closeAllConnections()
  await once.close()
})
