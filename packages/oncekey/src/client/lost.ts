/** Calls that ended without an answer, so that whoever repeats one of them repeats its key too. */
import type { ClientRequest } from './key.ts'
import type { ClientClock } from './web.ts'

/** As long as the layer looks for the original of a request without a key (http.md, Requests without a key). */
const keptMs = 600_000
/** More lost calls than this at a time are an outage; the oldest is forgotten. */
const kept = 100

/** What the SDKs of OpenAI and Anthropic count their own retries in. */
const retryCount = 'x-stainless-retry-count'
/** What makes two requests the same; who has another credential is another caller. */
const telling = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key']

/** A call that the caller has seen fail. */
export interface LostCall {
  readonly request: ClientRequest
  readonly key: string
  /** By its own caller: a time-out of the SDK's, or somebody who wanted no answer any more. */
  readonly aborted: boolean
}

/** The lost calls of one fetch. */
export interface LostCalls {
  add(call: LostCall): void
  /** The key of the lost call that this one repeats; nobody else gets it. */
  take(request: ClientRequest): string | undefined
}

/**
 * The SDKs try again by calling fetch again, and most say so by no word. But a caller who was told of a failure and
 * asks the very same anew wants that answer, so each lost key goes to one such call. Who aborted may want another
 * answer to the same words, so that key goes only to a retry that is declared.
 */
export function lostCalls(clock: ClientClock): LostCalls {
  let calls: (LostCall & { readonly untilMs: number })[] = []
  return {
    add(call) {
      calls = [...calls, { ...call, untilMs: clock.monotonicMs() + keptMs }].slice(-kept)
    },
    take(request) {
      calls = calls.filter(({ untilMs }) => untilMs > clock.monotonicMs())
      const count = countOf(request)
      const found = calls.find(
        (lost) => isSame(lost.request, request) && (count > 0 ? countOf(lost.request) === count - 1 : !lost.aborted),
      )
      calls = calls.filter((call) => call !== found)
      return found?.key
    },
  }
}

function countOf({ headers }: ClientRequest): number {
  return Number(headers.get(retryCount))
}

/** Text is compared; a form is the same object in each of an SDK's retries, or is taken for another request. */
function isSame({ method, url, body, headers }: ClientRequest, other: ClientRequest): boolean {
  return (
    method === other.method &&
    url === other.url &&
    body !== undefined &&
    body === other.body &&
    telling.every((name) => headers.get(name) === other.headers.get(name))
  )
}
