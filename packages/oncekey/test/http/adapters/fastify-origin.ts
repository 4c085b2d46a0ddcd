/** The suite's origin as an ordinary handler of Fastify, which gets its body parsed and answers by `reply.send`. */
import { PassThrough, Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { nodeOrigin, type Origin } from '../../../src/testing/index.ts'

export function fastifyOrigin(app: FastifyInstance, origin: Origin): void {
  const run = nodeOrigin(origin)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body))
  app.all('/*', (request, reply) => {
    const body = new PassThrough()
    let begun = false
    const { method, url, headers } = request
    const bytes = Readable.from(request.body === undefined ? [] : [request.body as Buffer])
    const message = { method, url, headers, [Symbol.asyncIterator]: () => bytes[Symbol.asyncIterator]() }
    run(message, {
      writeHead: (status, given) => void reply.code(status).headers(given),
      write(piece) {
        const room = body.write(piece)
        if (!begun) reply.send(body)
        begun = true
        return room
      },
      end: (piece) => (begun ? body.end(piece) : reply.send(piece === undefined ? undefined : Buffer.from(piece))),
      once: (_, heard) => body.once('drain', heard),
    }).catch((error: Error) => (begun ? body.destroy(error) : reply.send(error)))
  })
}
