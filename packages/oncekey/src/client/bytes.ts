/** The bytes of one answer as its reader sees them: without keep-alives, counted, and with a digest to know them again. */

/** What the layer writes into a silent event stream, between two events (http.md, Streams): never recorded, so a replay lacks it. */
const keepAlive = new TextEncoder().encode(': keep-alive\n\n')
const lineFeed = 10
const carriageReturn = 13

/** How far a body was read. Other bytes have another digest (FNV-1a) but for 1 in 2³²; nobody gains by making two meet. */
export interface Mark {
  readonly length: number
  readonly digest: number
}

/** Where every body begins. */
export const bodyStart: Mark = { length: 0, digest: 0x811c9dc5 }

/** One body, read from its begin. */
export interface BodyBytes {
  mark(): Mark
  /** These are not the bytes that the reader has had; known when as many have come. */
  isOther(): boolean
  /** What of this piece is new to the reader; without one, of what was held back: the body has ended. */
  push(piece?: Uint8Array): Uint8Array<ArrayBuffer>
}

/** Reads a body of which the reader has had the bytes up to a mark: they are counted and not given again. */
export function bodyBytes(had: Mark, isEventStream: boolean): BodyBytes {
  let { length, digest } = bodyStart
  let isOther = false
  /** Line ends in a row: after two an event is over, and a keep-alive may come. */
  let lineEnds = 2
  let last = 0
  /** So many bytes of a keep-alive have come. */
  let held = 0

  return {
    mark: () => ({ length, digest }),
    isOther: () => isOther,
    push(piece) {
      const fresh = new Uint8Array((piece?.length ?? 0) + held)
      let at = 0
      const give = (byte: number): void => {
        // CR LF is one line end.
        if (byte === lineFeed || byte === carriageReturn)
          lineEnds += last === carriageReturn && byte === lineFeed ? 0 : 1
        else lineEnds = 0
        last = byte
        digest = Math.imul(digest ^ byte, 0x01000193)
        length += 1
        if (length > had.length) fresh[at++] = byte
        else if (length === had.length) isOther = digest !== had.digest
      }
      const release = (): void => {
        for (const byte of keepAlive.subarray(0, held)) give(byte)
        held = 0
      }
      for (const byte of piece ?? []) {
        if (isEventStream && lineEnds > 1 && byte === keepAlive[held]) held = (held + 1) % keepAlive.length
        else {
          release()
          give(byte)
        }
      }
      if (piece === undefined) release()
      return fresh.subarray(0, at)
    },
  }
}
