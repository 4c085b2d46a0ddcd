/** `oncekey/client`: a fetch that keeps one key over its retries and goes on where an answer was cut. */
export type { Fetch } from './call.ts'
export type { FetchOptions } from './fetch.ts'
export { idempotentFetch } from './fetch.ts'
export type { ClientRequest, KeyShelf, Persist } from './key.ts'
export type { ClientClock } from './web.ts'
