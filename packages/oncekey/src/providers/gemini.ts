/** Google's Gemini API: no terminator, so a `finishReason` and a clean end together; as events or as one JSON array. */

import { JsonPeek, type JsonSink } from './peek.ts'
import type { EventMembers, Provider, StreamEnd, StreamFormat, StreamScanner } from './provider.ts'
import { firstEventShape } from './shape.ts'
import { type Usage, UsageReader } from './usage.ts'

/** `…:streamGenerateContent`. A prompt that is blocked gets no candidate, only a `blockReason`, and that is final. */
export const gemini: Provider = {
  format: 'gemini',
  endsWith: 'clean-end',
  ownsPath: (path) => path.endsWith(':streamgeneratecontent'),
  begins: ({ members }) => members.candidates === true && members.usageMetadata === true,
  finishes: ({ members }) => isReason(members.finishReason) || isReason(members.blockReason),
}

/** The default of protobuf enums, `…_UNSPECIFIED`, means that there is none yet. */
function isReason(value: string | boolean | undefined): boolean {
  return typeof value === 'string' && value !== '' && !value.endsWith('_UNSPECIFIED')
}

/** The same answer without `alt=sse`: one JSON array that grows by an element at a time. No comment may enter it. */
export class GeminiArrayScanner implements StreamScanner, JsonSink {
  readonly format: StreamFormat = 'gemini'
  readonly terminatorAt: undefined
  readonly atEventEnd: boolean = false
  offset = 0
  failed = false
  #finished = false
  readonly #used = new UsageReader()
  readonly #peek = new JsonPeek({ ...firstEventShape, items: firstEventShape }, this)

  get usage(): Usage | undefined {
    return this.#used.usage
  }

  push(bytes: Uint8Array): void {
    this.offset += bytes.length
    this.#peek.push(bytes, 0, bytes.length)
  }

  end(clean: boolean): StreamEnd {
    if (this.failed) return 'failed'
    return clean && this.#finished && this.#peek.whole ? 'complete' : 'truncated'
  }

  see(name: keyof EventMembers, value: string | boolean): void {
    if (name === 'error' && value !== false && value !== '') this.failed = true
    if ((name === 'finishReason' || name === 'blockReason') && isReason(value)) this.#finished = true
  }

  count(name: string, value: number): void {
    this.#used.count(name, value)
  }

  text(name: string, value: string): void {
    this.#used.text(name, value)
  }
}
