/** What the request bodies of a process may take of its memory, all hosts together. */
import { IdempotencyError } from '../core/errors.ts'

/** http.md, Fingerprint: all buffered bodies of a process together. */
const processBytes = 512 * 1024 * 1024

let held = 0

/** The room of one request's body. */
export class BodyRoom {
  /** The longest body, bytes. */
  most = 0
  #taken = 0

  /** Throws `body_too_large` and `too_many_waiting`, the latter also for bytes that are announced only. */
  take(bytes: number): void {
    if (this.#taken + bytes > this.most) throw tooLarge(this.most)
    if (held + bytes > processBytes) throw tooMany()
    this.#taken += bytes
    held += bytes
  }

  /** Gives everything back; may be called again. */
  release(): void {
    held -= this.#taken
    this.#taken = 0
  }
}

function tooLarge(maxBytes: number): IdempotencyError {
  const sentence = `The request body has more than ${maxBytes} bytes. Send less, or raise maxBodyBytes.`
  return new IdempotencyError('body_too_large', sentence)
}

function tooMany(): IdempotencyError {
  const sentence = 'The server holds too many request bodies at the moment. Try again later.'
  return new IdempotencyError('too_many_waiting', sentence, { retryAfterMs: 1000 })
}
