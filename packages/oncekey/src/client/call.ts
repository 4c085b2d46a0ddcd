/** One call of fetch, taken apart so that it can be sent more than once. */
import type { ClientRequest } from './key.ts'

/** The platform's own. */
export type Fetch = typeof globalThis.fetch

/** What is sent, again and again. */
export interface Call {
  readonly request: ClientRequest
  readonly signal: AbortSignal | undefined
  /** Its body can be read once only, so that there is nothing to send again. */
  readonly isOnce: boolean
  /** Fetch's arguments for the next try, with the request's headers as they are by then. */
  next(signal?: AbortSignal): Parameters<Fetch>
}

/** Takes fetch's arguments apart. Throws what no platform can send, a header with a line break in it. */
export function callOf(input: Parameters<Fetch>[0], init: RequestInit = {}): Call {
  const from = input instanceof Request ? input : undefined
  const { body } = init
  const headers = new Headers(init.headers ?? from?.headers)
  return {
    request: {
      method: (init.method ?? from?.method ?? 'GET').toUpperCase(),
      url: from?.url ?? String(input),
      headers,
      body: body ?? undefined,
    },
    signal: init.signal ?? from?.signal,
    isOnce: isStream(body) || from?.bodyUsed === true,
    // A Request is cloned for each try: the clones share its bytes, which stay in memory until the call is over.
    next: (signal) => [from?.clone() ?? input, { ...init, headers, ...(signal && { signal }) }],
  }
}

/** Web streams and Node's; forms, blobs and bytes can be read again. */
function isStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body)
}
