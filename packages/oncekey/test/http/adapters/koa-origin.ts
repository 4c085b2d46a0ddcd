/** The suite's origin as an ordinary handler of Koa, which answers by `ctx.body`. */
import { PassThrough } from 'node:stream'
import type { Context } from 'koa'
import { nodeOrigin, type Origin } from '../../../src/testing/index.ts'

export function koaOrigin(origin: Origin): (context: Context) => Promise<void> {
  const run = nodeOrigin(origin)
  return (context) =>
    new Promise((resolve, reject) => {
      const stream = new PassThrough()
      let status = 0
      let headers: Record<string, string | string[]> = {}
      let begun = false
      // A body makes Koa guess status and type, so what the origin says comes after it.
      const begin = (body: unknown): void => {
        begun = true
        context.body = body
        context.remove('Content-Type')
        context.status = status
        context.set(headers)
        resolve()
      }
      run(context.req, {
        writeHead(given, fields) {
          status = given
          headers = fields as Record<string, string | string[]>
        },
        write(bytes) {
          const room = stream.write(bytes)
          if (!begun) begin(stream)
          return room
        },
        end: (bytes) => (begun ? stream.end(bytes) : begin(bytes === undefined ? null : Buffer.from(bytes))),
        once: (_, heard) => stream.once('drain', heard),
      }).catch((error: Error) => (begun ? stream.destroy(error) : reject(error)))
    })
}
