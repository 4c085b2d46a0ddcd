/** Finds an operation again at its provider: whether what it should make is there, by listing what the provider keeps. */
import { anthropicBatches } from './anthropic-batches.ts'
import { openaiBatches } from './openai-batches.ts'

/** Asks the provider with the caller's own credentials; undefined where it did not answer. */
export type Get = (
  /** Behind the path that the operation itself was sent to. */
  suffix: string,
  query: Readonly<Record<string, string>>,
) => Promise<{ readonly status: number; readonly body: Uint8Array } | undefined>

/** What is looked for. */
export interface Sought {
  /** As `mark` was given it. */
  readonly name: string
  /** The body as the client sent it. */
  readonly body: Uint8Array
  /** When the operation was first asked for, epoch ms. */
  readonly sinceMs: number
}

/**
 * `absent`: it was listed whole, and what is sought is not in it. `unclear`: a later look may tell. `unknowable`: no look
 * ever will, so a human has to.
 */
export type Found =
  | { readonly kind: 'found'; readonly body: Uint8Array }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unclear' | 'unknowable'; readonly why: string }

/** One kind of object that a provider makes and lists. */
export interface Reconciler {
  /** The body with a name in it that listings show; undefined where it can have none. Not every kind needs one. */
  mark?(body: Uint8Array, name: string): Uint8Array | undefined
  find(sought: Sought, get: Get): Promise<Found>
}

/** What finds the objects that a path makes; undefined where nobody can. `path` without query. */
export function reconcilerFor(path: string): Reconciler | undefined {
  const bare = path.toLowerCase().replace(/\/+$/, '')
  if (bare.endsWith('/messages/batches')) return anthropicBatches
  return bare.endsWith('/batches') ? openaiBatches : undefined
}
