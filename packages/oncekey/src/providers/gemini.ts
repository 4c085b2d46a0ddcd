/** Google's Gemini API: no terminator, so a `finishReason` and a clean end together; as events or as one JSON array. */

import { eventShape, JsonPeek } from './peek.ts'
import type { EventMembers, Provider, StreamEnd, StreamFormat, StreamScanner } from './provider.ts'

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
export class GeminiArrayScanner implements StreamScanner {
  readonly format: StreamFormat = 'gemini'
  readonly terminatorAt: undefined
  readonly atEventEnd: boolean = false
  offset = 0
  failed = false
  #finished = false
  readonly #peek = new JsonPeek({ ...eventShape, items: eventShape }, (name, value) => this.#see(name, value))

  push(bytes: Uint8Array): void {
    this.offset += bytes.length
    this.#peek.push(bytes, 0, bytes.length)
  }

  end(clean: boolean): StreamEnd {
    if (this.failed) return 'failed'
    return clean && this.#finished && this.#peek.whole ? 'complete' : 'truncated'
  }

  #see(name: keyof EventMembers, value: string | boolean): void {
    if (name === 'error' && value !== false && value !== '') this.failed = true
    if ((name === 'finishReason' || name === 'blockReason') && isReason(value)) this.#finished = true
  }
}
