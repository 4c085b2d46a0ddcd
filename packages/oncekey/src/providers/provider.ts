/** What the layer has to know about an AI API: how its event streams begin, how they end, and how they fail. */
import type { Usage } from './usage.ts'

/**
 * How a body tells that it is whole. `sse` is an event stream of nobody we know, `opaque` no event stream at all
 * (NDJSON, AWS event streams, JSON, audio).
 */
export type StreamFormat = 'openai-chat' | 'openai-responses' | 'anthropic' | 'gemini' | 'sse' | 'opaque'

/** `truncated`: it ended or broke off before its last word. `failed`: the provider said so in an error event. */
export type StreamEnd = 'complete' | 'truncated' | 'failed'

/** Reads a body's decoded bytes as they pass and knows whether its last word has come. Memory is constant. */
export interface StreamScanner {
  /** Where the path says nothing, `sse` until the first event has decided. */
  readonly format: StreamFormat
  /** Bytes seen. */
  readonly offset: number
  /**
   * Offset of the first byte of the event that terminates, known once a line-reading client could act on it. Always
   * undefined where only a clean end terminates: Gemini and the unknown.
   */
  readonly terminatorAt: number | undefined
  /** An error event came before any terminator; whatever follows, the stream has failed. */
  readonly failed: boolean
  /** At the very begin or just after a blank line of an event stream: a comment put here harms no event. */
  readonly atEventEnd: boolean
  /** What the body has said so far that it used; undefined while it has said nothing. */
  readonly usage: Usage | undefined
  push(bytes: Uint8Array): void
  /** The verdict, once. `clean`: the body ended as its framing promised; else the connection broke. */
  end(clean: boolean): StreamEnd
}

/** Members of an event's JSON that tell providers and events apart. */
export interface EventMembers {
  type?: string | boolean
  object?: string | boolean
  error?: string | boolean
  message?: string | boolean
  response?: string | boolean
  candidates?: string | boolean
  usageMetadata?: string | boolean
  finishReason?: string | boolean
  blockReason?: string | boolean
}

/** One event of a stream, as much of it as decides. */
export interface ProviderEvent {
  /** The `event:` line; empty where there is none. */
  readonly name: string
  /** The first data line without the blanks around it; empty when it is longer than a marker could be. */
  readonly marker: string
  /** Strings as themselves (cut at 128 bytes), all else as its truthiness, as clients in JavaScript and Python test it. */
  readonly members: Readonly<EventMembers>
}

/** An AI API whose event streams we can judge. */
export interface Provider {
  readonly format: StreamFormat
  /**
   * What makes a stream whole: the terminator's own `line`, its `event` with the blank line, or a `clean-end` after
   * an event that `finishes`. A typed event cut off before its blank line is never dispatched by a client, so a replay
   * of it would lack its end forever; `[DONE]` carries nothing, so its line is enough.
   */
  readonly endsWith: 'line' | 'event' | 'clean-end'
  /** `path` in lower case, without query and trailing slashes. */
  readonly ownsPath: (path: string) => boolean
  /** Is this the first event of such a stream? Strict, since a wrong yes turns a clean end into a truncated one. */
  readonly begins: (event: ProviderEvent) => boolean
  readonly finishes: (event: ProviderEvent) => boolean
}
