/** Reads a request's body whole, bounded for the request and for the process. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { IdempotencyError, type StreamedContent } from 'oncekey/http'
import { exceeded, type Holding } from './quota.ts'

/** A body that is here whole. */
export interface HeldBody {
  /** Empty where it is `streamed`. */
  readonly body: Buffer
  /** What was read of a body that is on the disk. */
  readonly streamed: StreamedContent | undefined
  /** What is sent on. */
  readonly send: Buffer | (() => Readable)
  /** Has to be called once. */
  release(): void
}

/** Counts the bytes that are held in buffers. */
export class BodyBudget {
  readonly #most: number
  #held = 0

  constructor(most: number) {
    this.#most = most
  }

  /** Bytes that are in buffers now. */
  get held(): number {
    return this.#held
  }

  /**
   * The body; undefined when the caller hung up before its end. `release` gives its bytes back to the budget and has
   * to be called once. Throws `body_too_large` and `too_many_waiting`; with a `holder` also `quota_exceeded`: one may hold as
   * much as is still free, so a single one gets half of the budget, two a third each, and there is always something left for
   * the next (dynamic thresholds, Choudhury and Hahne, 1998).
   */
  read(
    request: IncomingMessage,
    maxBytes: number,
    holder: Pick<Holding, 'bytes'> = { bytes: Number.NEGATIVE_INFINITY },
  ): Promise<HeldBody | undefined> {
    const declared = Number(request.headers['content-length'] ?? 0)
    if (declared > maxBytes) return Promise.reject(tooLarge(maxBytes))
    const refusal = this.#refusal(holder, declared)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let length = 0
      const release = (): void => {
        this.#held -= length
        holder.bytes -= length
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
        holder.bytes += chunk.length
        if (length > maxBytes) return fail(tooLarge(maxBytes))
        const full = this.#refusal(holder, 0)
        if (full !== undefined) return fail(full)
        chunks.push(chunk)
      }
      request.on('data', take)
      request.on('end', () => {
        const [only] = chunks
        const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, length)
        resolve({ body, streamed: undefined, send: body, release })
      })
      request.on('close', () => {
        if (request.complete) return
        release()
        resolve(undefined)
      })
      request.on('error', () => undefined)
    })
  }

  #refusal({ bytes }: Pick<Holding, 'bytes'>, more: number): IdempotencyError | undefined {
    const free = this.#most - this.#held - more
    if (free < 0) return tooMany()
    return bytes + more > free ? exceeded('bodies of yours take as much memory as is left for all others') : undefined
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
