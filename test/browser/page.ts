/** A web application's own server: a page with the bundled client, and the gateway behind the same origin. */
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** A server that listens. */
export interface PageServer {
  readonly port: number
  close(): void
}

const client = fileURLToPath(new URL('../../packages/oncekey/dist/client/index.js', import.meta.url))

/** Without the icon the browser asks for one, and a relay would count that. */
const html = `<!doctype html><title>page</title><link rel="icon" href="data:,">
<script type="module">
import { idempotentFetch } from '/client.js'
Object.assign(window, { idempotentFetch })
</script>`

/** `/` is the page, and everything below `/v1/` is asked of the gateway. */
export async function servePage(gateway: { readonly port: number }): Promise<PageServer> {
  const bundled = await build({ entryPoints: [client], bundle: true, minify: true, format: 'esm', write: false })
  const files: Readonly<Record<string, readonly [type: string, text: string]>> = {
    '/client.js': ['text/javascript', bundled.outputFiles[0]?.text ?? ''],
    '/': ['text/html', html],
  }
  const server = createServer((incoming, outgoing) => {
    const file = files[incoming.url ?? '']
    if (file !== undefined) {
      outgoing.writeHead(200, { 'content-type': file[0] }).end(file[1])
      return
    }
    const { method, url, headers } = incoming
    const onward = request({ port: gateway.port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(outgoing)
      answer.on('close', () => answer.complete || outgoing.destroy())
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
