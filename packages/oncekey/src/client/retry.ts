/** Asks again: when, how often, and for how long. */

import type { Random } from '../core/random.ts'
import { fieldNames } from '../http/headers.ts'
import type { ClientClock } from './web.ts'

/** The first pause where the server names none, and the longest: the official SDKs' numbers (openai 7, client.mjs). */
const firstPauseMs = 500
const longestPauseMs = 8_000
/** So much of a pause is taken off by chance, lest many clients come back at once. */
const jitter = 0.25

/** How often and how long one call may be asked again. */
export interface Patience {
  readonly retries: number
  readonly waitMs: number
  readonly clock: ClientClock
  readonly random: Random
}

/** The pause before the next try after this answer, or after none; undefined when there is to be no other. */
export type Tries = (answer?: Response) => number | undefined

/** The tries of one call, from now on. */
export function triesOf({ retries, waitMs, clock, random }: Patience): Tries {
  const endMs = clock.monotonicMs() + waitMs
  let made = 0
  return (answer) => {
    if (made >= retries || (answer && !mayAskAgain(answer))) return undefined
    const pauseMs =
      (answer && hintedMs(answer, clock.wallMs())) ??
      Math.min(firstPauseMs * 2 ** made, longestPauseMs) * (1 - jitter * random.fraction())
    // A server's word is not shortened: what would come too early to be answered is not asked.
    if (clock.monotonicMs() + pauseMs > endMs) return undefined
    made += 1
    return pauseMs
  }
}

/** May the same request succeed later? The server's own word first; a 409 without a hint is a conflict that stays. */
export function mayAskAgain({ headers, status }: Response): boolean {
  const word = headers.get(fieldNames.shouldRetry)
  if (word === 'true' || word === 'false') return word === 'true'
  if (status === 409) return headers.has(fieldNames.retryAfter) || headers.has(fieldNames.retryAfterMs)
  return status === 408 || status === 429 || status >= 500
}

/** `retry-after-ms`, else `Retry-After` in seconds or as a date (RFC 9110 §10.2.3); undefined for what is none. */
function hintedMs({ headers }: Response, nowMs: number): number | undefined {
  const after = headers.get(fieldNames.retryAfter)
  const hints = [
    headers.get(fieldNames.retryAfterMs) || NaN,
    Number(after || NaN) * 1000,
    Date.parse(`${after}`) - nowMs,
  ]
  const hint = hints.map(Number).find((ms) => !Number.isNaN(ms))
  return hint && Math.max(0, hint)
}

/** Asks until there is an answer to keep, or no try is left. `cut`: the call begins with the pause after a failure. */
export async function askUntilAnswered(
  ask: () => Promise<Response>,
  tries: Tries,
  clock: ClientClock,
  signal: AbortSignal | undefined,
  cut?: { readonly error: unknown },
): Promise<Response> {
  let failure = cut
  for (;;) {
    let answer: Response | undefined
    if (failure === undefined) {
      try {
        answer = await ask()
      } catch (error) {
        failure = { error }
      }
    }
    signal?.throwIfAborted()
    const pauseMs = tries(answer)
    if (pauseMs === undefined) {
      if (answer) return answer
      throw failure?.error
    }
    failure = undefined
    // What is not read holds its connection.
    await answer?.body?.cancel().catch(() => undefined)
    await pause(clock, pauseMs, signal)
  }
}

function pause(clock: ClientClock, pauseMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(pauseMs, () => {
      signal?.removeEventListener('abort', leave)
      resolve()
    })
    const leave = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', leave)
  })
}
