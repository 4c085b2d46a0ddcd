/** Reads a request's body whole, bounded for the request and for the process. */
import type { IncomingMessage } from 'node:http'
import { IdempotencyError } from 'oncekey/http'

/** Counts the bytes that are held in buffers. */
export class BodyBudget {
  readonly #most: number
  #held = 0

  constructor(most: number) {
    this.#most = most
  }

  /**
   * The body; undefined when the caller hung up before its end. `release` gives its bytes back to the budget and has
   * to be called once. Throws `body_too_large` and `too_many_waiting`.
   */
  read(request: IncomingMessage, maxBytes: number): Promise<{ body: Buffer; release: () => void } | undefined> {
    const declared = Number(request.headers['content-length'] ?? 0)
    if (declared > maxBytes) return Promise.reject(tooLarge(maxBytes))
    if (this.#held + declared > this.#most) return Promise.reject(tooMany())
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let length = 0
      const release = (): void => {
        this.#held -= length
        length = 0
      }
      const fail = (error: IdempotencyError): void => {
        request.off('data', take)
        request.resume()
        release()
        reject(error)
      }
      const take = (chunk: Buffer): void => {
        length += chunk.length
        this.#held += chunk.length
        if (length > maxBytes) return fail(tooLarge(maxBytes))
        if (this.#held > this.#most) return fail(tooMany())
        chunks.push(chunk)
      }
      request.on('data', take)
      request.on('end', () => {
        const [only] = chunks
        resolve({ body: chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, length), release })
      })
      request.on('close', () => {
        if (request.complete) return
        release()
        resolve(undefined)
      })
      request.on('error', () => undefined)
    })
  }
}

function tooLarge(maxBytes: number): IdempotencyError {
  return new IdempotencyError(
    'body_too_large',
    `The request body has more than ${maxBytes} bytes. Send less, or raise --max-body.`,
  )
}

function tooMany(): IdempotencyError {
  return new IdempotencyError(
    'too_many_waiting',
    'The gateway holds too many request bodies at the moment. Try again later.',
    {
      retryAfterMs: 1000,
    },
  )
}
