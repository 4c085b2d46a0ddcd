/** What the server refuses whatever is asked of it. */
import { IdempotencyError } from 'oncekey/http'

/** Its hands are full. */
export function tooMany(): IdempotencyError {
  const sentence = 'The gateway answers as many requests as it can at the moment. Try again later.'
  return new IdempotencyError('too_many_waiting', sentence, { retryAfterMs: 1000 })
}

/** It is on its way out. */
export function shuttingDown(): IdempotencyError {
  const sentence = 'This gateway is shutting down. Try again; another one will answer.'
  return new IdempotencyError('shutting_down', sentence, { retryAfterMs: 1000 })
}
