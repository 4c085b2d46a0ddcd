/** `Last-Event-ID` on a recorded stream: where the bytes begin that the client has not seen. */
import { SseReader, type SseSink } from './sse.ts'

/** The body is read in pieces of this, so that a match near its begin costs no more than that. */
const pieceBytes = 64 * 1024

/**
 * The offset just after the first block whose `id:` is `lastEventId`; undefined when no finished block has it. The first
 * one, because a repeated event is told by its id and a skipped one is lost.
 */
export function offsetAfterEvent(body: Uint8Array, lastEventId: string): number | undefined {
  const wanted = lastEventId.trim()
  if (wanted === '') return undefined
  const finder = new IdFinder(wanted)
  const reader = new SseReader(finder)
  for (let at = 0; at < body.length && finder.endsAt === undefined; at += pieceBytes)
    reader.push(body.subarray(at, at + pieceBytes))
  const end = finder.endsAt
  // The blank line is over with its CR, but an LF behind it belongs to it.
  return end !== undefined && body[end - 1] === 0x0d && body[end] === 0x0a ? end + 1 : end
}

class IdFinder implements SseSink {
  endsAt: number | undefined
  readonly #utf8: string
  readonly #latin1: string
  #id: string | undefined

  /** A header field comes as UTF-8 text or, as Node reads it, one character a byte: both name the same bytes. */
  constructor(wanted: string) {
    this.#utf8 = binary(new TextEncoder().encode(wanted))
    this.#latin1 = wanted
  }

  data(): void {}
  dataLine(): void {}
  event(): void {}

  id(id: Uint8Array): void {
    this.#id = binary(id).trim()
  }

  block(endsAt: number): void {
    const matches = this.#id === this.#utf8 || this.#id === this.#latin1
    this.#id = undefined
    if (matches && this.endsAt === undefined) this.endsAt = endsAt
  }
}

/** One character a byte. */
function binary(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}
