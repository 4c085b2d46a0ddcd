// The servers a gateway is measured against, one a process: node bench/servers.mjs KIND [UPSTREAM] prints its port.
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { Pool } from 'undici'

const [kind, upstream] = process.argv.slice(2)
const answer = Buffer.from(JSON.stringify({ id: 'chatcmpl-1', choices: [{ message: { content: 'x'.repeat(950) } }] }))
const event = Buffer.from(`data: {"c":"${'x'.repeat(33)}"}\n\n`)
const events = 200

/** Reads the body, then answers 1 KiB; under /sse 200 events of 50 bytes, each a write of its own turn. */
function serve(request, response) {
  request.on('data', () => undefined)
  request.on('end', () => {
    if (!request.url.includes('completions')) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      return response.end(answer)
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    let sent = 0
    const next = () => {
      if (sent++ === events) return response.end('data: [DONE]\n\n')
      response.write(event)
      setImmediate(next)
    }
    next()
  })
}

/** The bare undici dispatch proxy: raw headers, one write a received buffer, a small body as one Buffer. */
function proxy(record) {
  const pool = new Pool(upstream, { pipelining: 1 })
  return (request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', async () => {
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
      const settle = await record?.(request)
      const headers = []
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        const name = request.rawHeaders[at].toLowerCase()
        if (name !== 'host' && name !== 'connection' && name !== 'content-length')
          headers.push(request.rawHeaders[at], request.rawHeaders[at + 1])
      }
      let head
      const parts = []
      pool.dispatch(
        { method: request.method, path: request.url, headers, body: body.length > 0 ? body : null },
        {
          onConnect() {},
          onHeaders(status, raw) {
            head = raw
              .map(String)
              .flatMap((text, at, all) =>
                at % 2 === 1 || /^(connection|keep-alive|transfer-encoding)$/i.test(text) ? [] : [text, all[at + 1]],
              )
            if (settle === undefined) response.writeHead(status, head)
            return true
          },
          onData(bytes) {
            if (settle === undefined) response.write(bytes)
            else parts.push(bytes)
            return true
          },
          async onComplete() {
            if (settle === undefined) return response.end()
            const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts)
            await settle(whole)
            response.writeHead(200, head)
            response.end(whole)
          },
          onError: () => response.destroy(),
        },
      )
    })
  }
}

/** The recording floor: the two writes of a pair on raw LMDB, the claim committed, the outcome flushed; no guards. */
function recorder() {
  const db = open({ path: mkdtempSync(join(tmpdir(), 'oncekey-bench-')), encoding: 'binary', useVersions: true })
  const claim = Buffer.alloc(250)
  return async (request) => {
    const id = request.headers['idempotency-key']
    await db.ifNoExists(id, () => db.put(id, claim, 1))
    return async (body) => {
      await db.ifVersion(id, 1, () => db.put(id, Buffer.concat([claim, body]), 2))
      await db.flushed
    }
  }
}

const handlers = { upstream: () => serve, bare: () => serve, proxy: () => proxy(), floor: () => proxy(recorder()) }
const server = createServer({ keepAliveTimeout: 60_000 }, handlers[kind]())
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
