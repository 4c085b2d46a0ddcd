// A lean client: raw sockets, one request in flight each. Prints { requests, bytes, seconds } for its window.
import { connect } from 'node:net'

const [port, connections, seconds, path, keys] = process.argv.slice(2)
const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x'.repeat(960) }] })
const run = Math.random().toString(36).slice(2)
let sent = 0
let done = 0
let bytes = 0
let counting = false

/** `unique`: a fresh key each; `same`: a thousand keys; `none`. */
function request() {
  const key = keys === 'none' ? '' : `Idempotency-Key: ${keys === 'same' ? `s${sent % 1000}` : `${run}-${sent}`}\r\n`
  sent += 1
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\nContent-Type: application/json\r\n${key}Content-Length: ${body.length}\r\n\r\n${body}`
}

function client() {
  const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true })
  let pending = ''
  let need = -1
  let got = 0
  socket.on('data', (chunk) => {
    if (counting) bytes += chunk.length
    if (need >= 0) got += chunk.length
    else {
      pending += chunk.latin1Slice()
      const end = pending.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = /\r\ncontent-length: *(\d+)/i.exec(pending.slice(0, end + 2))
      if (length === null) {
        // Chunked: whole when the last chunk has come.
        if (!pending.endsWith('0\r\n\r\n')) return
        need = 0
        got = 0
      } else {
        need = Number(length[1])
        got = pending.length - end - 4
      }
    }
    if (got < need) return
    need = -1
    pending = ''
    if (counting) done += 1
    socket.write(request())
  })
  socket.on('error', (error) => {
    console.error(String(error))
    process.exit(1)
  })
  socket.write(request())
}

for (let at = 0; at < Number(connections); at++) client()
setTimeout(() => {
  counting = true
  const startedMs = performance.now()
  process.send?.('start')
  setTimeout(() => {
    console.log(JSON.stringify({ requests: done, bytes, seconds: (performance.now() - startedMs) / 1000 }))
    process.exit(0)
  }, Number(seconds) * 1000)
}, 500)
