/** The suite's origin as an ordinary handler of Koa, which answers by `ctx.body`. */
import { PassThrough } from 'node:stream'
import type { Context } from 'koa'
import { nodeOrigin, type Origin } from '../../../src/testing/index.ts'

export function koaOrigin(origin: Origin): (context: Context) => Promise<void> {
  const run = nodeOrigin(origin)
  return (context) =>
    new Promise((resolve, reject) => {
      const body = new PassThrough()
      let begun = false
      const head = (): void => {
        begun = true
        resolve()
      }
      run(context.req, {
        writeHead(status, headers) {
          context.status = status
          context.set(headers as Record<string, string | string[]>)
          if (!('Content-Type' in headers)) context.type = ''
        },
        write(bytes) {
          if (!begun) context.body = body
          if (!context.response.has('Content-Type')) context.remove('Content-Type')
          const room = body.write(bytes)
          if (!begun) head()
          return room
        },
        end(bytes) {
          if (begun) return body.end(bytes)
          const type = context.response.get('Content-Type')
          const status = context.status
          context.body = bytes === undefined ? null : Buffer.from(bytes)
          context.status = status
          if (type !== '') context.set('Content-Type', type)
          return head()
        },
        once: (_, heard) => body.once('drain', heard),
      }).catch((error: Error) => (begun ? body.destroy(error) : reject(error)))
    })
}
