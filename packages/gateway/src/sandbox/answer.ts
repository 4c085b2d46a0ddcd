/** What the pretend provider says, before it is framed, coded and broken on the way. */
import type { Behaviour } from './behaviour.ts'
import type { Kept } from './kept.ts'
import type { Tokens } from './ledger.ts'
import type { SandboxRequest } from './request.ts'
import { structuredText, type ToolCall, toolCallOf } from './wishes.ts'

/** One event of a stream, or one element of a streamed JSON array. */
export interface StreamPart {
  /** The `event:` line. */
  readonly name?: string
  readonly data: string
}

/** An answer by kind of body. */
export type Answer =
  | { readonly kind: 'json'; readonly status: number; readonly value: object }
  | { readonly kind: 'bytes'; readonly contentType: string; readonly length: number }
  | {
      readonly kind: 'stream'
      readonly framing: 'events' | 'array'
      readonly crlf: boolean
      /** Does one of its events say what was used? */
      readonly tellsUsage: boolean
      /** All that comes before the terminator; made while it is sent. */
      readonly parts: () => Iterable<StreamPart>
      readonly terminator: StreamPart
      readonly error: StreamPart
    }

/** Does the answer say what it used, where it is whole? */
export function tellsUsage(answer: Answer): boolean {
  if (answer.kind === 'stream') return answer.tellsUsage
  return answer.kind === 'json' && ('usage' in answer.value || 'usageMetadata' in answer.value)
}

/** Whose dialect the answer speaks. */
export type Dialect = 'openai' | 'anthropic' | 'gemini'

/** One call that is to be answered. */
export interface Asked {
  readonly n: number
  /** Random, so that no two answers have the same bytes. */
  readonly id: string
  readonly request: SandboxRequest
  readonly behaviour: Behaviour
  readonly tokens: Tokens
  readonly kept: Kept
}

const defaultEvents = 5

/** Pieces the text comes in. */
export function eventCount(behaviour: Behaviour): number {
  return behaviour.events ?? defaultEvents
}

/** What is said in pieces: the text, or JSON of the shape that was asked for. */
export function* deltas(asked: Asked): Generator<string> {
  const structured = structuredText(asked.request.json, () => plainText(asked))
  if (structured === undefined) return yield* talk(asked)
  const length = Math.ceil(structured.length / Math.max(1, eventCount(asked.behaviour)))
  for (let at = 0; at < structured.length; at += length) yield structured.slice(at, at + length)
}

/** The tool that is to be called before anything is said. */
export function toolCall(asked: Asked): ToolCall | undefined {
  return toolCallOf(asked.request.json, () => plainText(asked))
}

function plainText(asked: Asked): string {
  return [...talk({ ...asked, behaviour: { ...asked.behaviour, size: 0 } })].join('')
}

/** The text in pieces: the first names the call, the others are small talk; `size` spreads over all of them. */
function* talk(asked: Asked): Generator<string> {
  const count = eventCount(asked.behaviour)
  const { size } = asked.behaviour
  for (let at = 0; at < count; at++) {
    const said = at === 0 ? `Answer ${asked.n} (${asked.id}):` : ` word ${at}`
    const wanted = size === undefined ? 0 : Math.floor(size / count) + (at < size % count ? 1 : 0)
    yield said + '.'.repeat(Math.max(0, wanted - said.length))
  }
}

/** The text in one piece, as short as can be: where a JSON body has to be large it is padded elsewhere. */
export function wholeText(asked: Asked): string {
  return [...deltas({ ...asked, behaviour: { ...asked.behaviour, size: 0 } })].join('')
}

/** An error as the dialect's clients expect it. */
export function errorValue(dialect: Dialect, status: number, message: string, id: string): object {
  if (dialect === 'anthropic')
    return { type: 'error', error: { type: anthropicError(status), message }, request_id: `req_${id}` }
  if (dialect === 'gemini')
    return { error: { code: status, message, status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'UNAVAILABLE' } }
  const type = status === 429 ? 'requests' : status >= 500 ? 'server_error' : 'invalid_request_error'
  return { error: { message, type, param: null, code: status === 429 ? 'rate_limit_exceeded' : null } }
}

function anthropicError(status: number): string {
  if (status === 429) return 'rate_limit_error'
  if (status === 404) return 'not_found_error'
  if (status === 529) return 'overloaded_error'
  return status >= 500 ? 'api_error' : 'invalid_request_error'
}
