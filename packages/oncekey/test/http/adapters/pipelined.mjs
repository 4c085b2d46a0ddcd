// On whatever Node runs this: pipelined requests through Express, and a file for a caller who hangs up. The insides of a
// response that the capture knows differ by release. Prints what happened.
import { once as event } from 'node:events'
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import express from 'express'
import { memoryStore } from 'oncekey'
import { idempotency } from 'oncekey/express'

const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown' })
const app = express().use(once)
let runs = 0
app.post('/file', (_, response) => {
  runs += 1
  createReadStream(process.execPath, { end: 2_999_999 }).pipe(response)
})
app.post('/:n', async ({ params }, response) => {
  await new Promise((resolve) => setTimeout(resolve, params.n === '1' ? 40 : 5))
  response.send(`answer ${params.n}\n`)
})
const server = createServer(app).listen(0, '127.0.0.1')
await event(server, 'listening')
const { port } = server.address()
const head = (path, more = '') =>
  `POST /${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nIdempotency-Key: k\r\n${more}Content-Length: 0\r\n\r\n`

const pipelined = connect(port, '127.0.0.1')
pipelined.write(head(1) + head(2) + head(3, 'Connection: close\r\n'))
let text = ''
for await (const piece of pipelined) text += piece
console.log(text.match(/answer \d/g).join(', '))

const gone = connect(port, '127.0.0.1')
gone.write(head('file'))
await event(gone, 'data')
gone.destroy()
const init = { method: 'POST', headers: { Authorization: 'Bearer a', 'Idempotency-Key': 'k' } }
for (let turn = 0; turn < 2; turn++) {
  const response = await fetch(`http://127.0.0.1:${port}/file`, init)
  const { byteLength } = await response.arrayBuffer()
  console.log(`${byteLength} bytes, ${runs} run, replayed: ${response.headers.get('idempotent-replayed')}`)
}
server.close().closeAllConnections()
await once.close()
