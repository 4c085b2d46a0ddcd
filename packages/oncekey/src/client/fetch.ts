/** `idempotentFetch`: a fetch that gives each call one key, asks again with it, and goes on where an answer was cut. */
import type { Random } from '../core/random.ts'
import { fieldNames } from '../http/headers.ts'
import { callOf, type Fetch } from './call.ts'
import { type ClientRequest, keyMint, type Persist, quoted, uuidv7 } from './key.ts'
import { lostCalls } from './lost.ts'
import { type AskAgain, resumable } from './resume.ts'
import { askUntilAnswered, mayAskAgain, triesOf } from './retry.ts'
import { type ClientClock, webClock, webRandom } from './web.ts'

/** How calls are made; `clock` and `random` replace the platform's in tests. */
export interface FetchOptions {
  /** What sends the requests. Default: the global fetch, looked up at each call. */
  readonly fetch?: Fetch
  /** The key of a call that has none; undefined: a new UUIDv7. */
  readonly key?: (request: ClientRequest) => string | undefined | PromiseLike<string | undefined>
  /** How often a call is asked again, and a cut answer at each of its cuts. Default 5; 0 is never. */
  readonly retries?: number
  /** The last try begins at most so long after the first, or after the cut. Default 600,000. */
  readonly waitMs?: number
  /** Keeps keys over restarts. */
  readonly persist?: Persist
  readonly clock?: ClientClock
  readonly random?: Random
}

/**
 * A fetch for `new OpenAI({ fetch })` and the like. POST and PATCH get an `Idempotency-Key` unless they have one; every
 * call is asked again, with the same key, after network errors, 408, 429 and 5xx, or as the answer's hints say. A recorded
 * answer that was cut goes on without a byte twice. Bodies that can be read only once are sent once. The caller's signal
 * ends everything at once.
 */
export function idempotentFetch(options: FetchOptions = {}): Fetch {
  const { clock = webClock, random = webRandom, retries = 5, waitMs = 600_000, persist, key: own } = options
  const lost = lostCalls(clock)
  const keyOf = keyMint(
    async (request) => (own ? await own(request) : lost.take(request)) ?? uuidv7(clock, random),
    persist,
  )

  return async (input, init) => {
    const send = options.fetch ?? globalThis.fetch
    const { request, signal, isOnce, next } = callOf(input, init)
    // What can never be sent fails here, and not after its retries.
    if (options.fetch === undefined) new Request(request.url)
    let key: string | undefined
    if (covered.has(request.method) && !request.headers.has(fieldNames.key)) {
      key = await keyOf(request)
      request.headers.set(fieldNames.key, quoted(key))
    }
    const lose = (): void => {
      if (key) lost.add({ request, key, aborted: !!signal?.aborted })
    }
    const patience = { retries: isOnce ? 0 : retries, waitMs, clock, random }
    let tries = triesOf(patience)
    const askAgain: AskAgain = (cut, isProgress, left) => {
      if (isProgress) tries = triesOf(patience)
      const both = signal === undefined ? left : AbortSignal.any([signal, left])
      return askUntilAnswered(() => send(...next(both)), tries, clock, both, { error: cut })
    }
    try {
      const answer = await askUntilAnswered(() => send(...next()), tries, clock, signal)
      if (mayAskAgain(answer)) lose()
      return resumable(answer, askAgain, lose)
    } catch (error) {
      lose()
      throw error
    }
  }
}

/** What may have an effect at every try; other methods are idempotent by themselves (RFC 9110 §9.2.2). */
const covered = new Set(['POST', 'PATCH'])
