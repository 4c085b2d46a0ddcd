/** Bodies that are no event stream: their framing alone tells that they are whole. */
import { JsonPeek } from './peek.ts'
import type { StreamEnd, StreamFormat, StreamScanner } from './provider.ts'
import { answerShape } from './shape.ts'
import { type Usage, UsageReader } from './usage.ts'

/** All it can say is that the body ended as its framing promised. */
export class OpaqueScanner implements StreamScanner {
  readonly format: StreamFormat = 'opaque'
  readonly terminatorAt: undefined
  readonly failed: boolean = false
  readonly atEventEnd: boolean = false
  offset = 0

  get usage(): Usage | undefined {
    return undefined
  }

  push(bytes: Uint8Array): void {
    this.offset += bytes.length
  }

  end(clean: boolean): StreamEnd {
    return clean ? 'complete' : 'truncated'
  }
}

/** A JSON answer that comes as it pleases: the same, and what it says was used. */
export class JsonAnswerScanner extends OpaqueScanner {
  readonly #reader = new UsageReader()
  readonly #peek = new JsonPeek(answerShape, this.#reader)

  override get usage(): Usage | undefined {
    return this.#reader.usage
  }

  override push(bytes: Uint8Array): void {
    super.push(bytes)
    this.#peek.push(bytes, 0, bytes.length)
  }
}

/** What a whole JSON answer, decoded, says it used; undefined where it says nothing. */
export function usageOf(body: Uint8Array): Usage | undefined {
  const scanner = new JsonAnswerScanner()
  scanner.push(body)
  return scanner.usage
}
