/** What an execution ended with, how that is classed, and how the head of an outcome becomes bytes. */
import { isEncrypted, keyIdOf, undecipherable } from './blob.ts'
import { unreadable } from './errors.ts'
import type { OnAbandoned } from './record.ts'

/** How an execution ended, as `classify` sees it. */
export type Ending =
  | {
      readonly kind: 'response'
      readonly status: number
      /** Lower-case name → value of the upstream's answer. */
      readonly header: (name: string) => string | undefined
      /** False for a body or stream that was cut, or ended without its terminator. */
      readonly complete: boolean
    }
  | {
      readonly kind: 'failed'
      /** May the request have reached the upstream? */
      readonly sent: boolean
      readonly cause: unknown
    }
  | {
      readonly kind: 'threw'
      readonly error: unknown
      /** "The effect may have begun" was recorded, which only `unknown` does. */
      readonly dispatched: boolean
    }

/** The three classes of endings; see `docs/reference/endings.md`. */
export type EndingClass = 'final' | 'not_executed' | 'indeterminate'

/** What a `classify` function may answer; undefined leaves it to the defaults. */
export type Classified = EndingClass | { readonly class: EndingClass; readonly retryAfterMs?: number } | undefined

/** Overrides the defaults per route or operation. */
export type Classify = (ending: Ending) => Classified

/** Answers by which a provider says that it did not do the work. */
const notExecuted: ReadonlySet<number> = new Set([401, 402, 403, 408, 425, 429, 503, 529])

/** The default classes, and what a `classify` function says instead. */
export function classOf(
  ending: Ending,
  classify?: Classify,
): { readonly class: EndingClass; readonly retryAfterMs: number } {
  const said = classify?.(ending)
  if (typeof said === 'string') return { class: said, retryAfterMs: 0 }
  if (said !== undefined) return { class: said.class, retryAfterMs: said.retryAfterMs ?? 0 }
  return { class: defaultClass(ending), retryAfterMs: 0 }
}

function defaultClass(ending: Ending): EndingClass {
  // Code that threw before it said that its effect may begin has done nothing; afterwards only it can know.
  if (ending.kind === 'threw') return ending.dispatched ? 'indeterminate' : 'not_executed'
  if (ending.kind === 'failed') return ending.sent ? 'indeterminate' : 'not_executed'
  // A status says "not executed" even when the rest of the answer was cut.
  if (notExecuted.has(ending.status) || ending.header('x-should-retry') === 'true') return 'not_executed'
  if (ending.status === 409 && ending.header('retry-after') !== undefined) return 'not_executed'
  return ending.complete && ending.status < 500 ? 'final' : 'indeterminate'
}

/** What becomes of the record: `lapse` leaves it running, so that the next claim takes over and reconciles. */
export function fateOf(ending: EndingClass, onAbandoned: OnAbandoned): 'completed' | 'released' | 'unknown' | 'lapse' {
  if (ending === 'final') return 'completed'
  if (ending === 'not_executed' || onAbandoned === 'reexecute' || onAbandoned === 'resume') return 'released'
  return onAbandoned === 'unknown' ? 'unknown' : 'lapse'
}

/** The head of a recorded outcome. */
export type OutcomeHead =
  | {
      readonly kind: 'value'
      readonly codec: string
      /** The `traceparent` of the execution, where it was traced. */
      readonly trace?: string
    }
  | { readonly kind: 'error' }
  | {
      readonly kind: 'response'
      readonly status: number
      /** Raw name, value, name, value …; only what may be replayed. */
      readonly headers: readonly string[]
      /** An event stream or another body that is followed as it comes. */
      readonly stream: boolean
      /** What the adapter wants back with every replay: JSON. */
      readonly note?: unknown
    }

/** The format of heads that this version writes. */
const headFormat = 1
const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

/** A head as bytes: a format number, then JSON. */
export function encodeHead(head: OutcomeHead): Uint8Array {
  return utf8.encode(`${headFormat}${JSON.stringify(head)}`)
}

const heads = new Map<string, Uint8Array>()

/** The head of a value: the same for all values of a codec that were not traced. */
export function valueHead(codec: string, trace?: string): Uint8Array {
  if (trace !== undefined) return encodeHead({ kind: 'value', codec, trace })
  const known = heads.get(codec)
  if (known !== undefined) return known
  const head = encodeHead({ kind: 'value', codec })
  heads.set(codec, head)
  return head
}

/**
 * A head from its bytes. One that could not be decrypted is `outcome_not_replayable`, a format of a later version
 * `store_unavailable`, never absent.
 */
export function decodeHead(bytes: Uint8Array | undefined): OutcomeHead {
  if (bytes !== undefined && isEncrypted(bytes)) throw undecipherable(keyIdOf(bytes))
  const text = fromUtf8.decode(bytes)
  if (!text.startsWith(`${headFormat}{`)) throw unreadable()
  return JSON.parse(text.slice(1)) as OutcomeHead
}
