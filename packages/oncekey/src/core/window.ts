/** The chunks of a recording that are in memory. */

/** A chunk and where it lies in the body. */
export interface Chunk {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Chunks in order, forgotten from the front. */
export class Window {
  readonly #chunks: Chunk[] = []
  /** The oldest that counts; those before it are cut off now and then, for `shift` moves all the others. */
  #first = 0

  push(chunk: Chunk): void {
    this.#chunks.push(chunk)
  }

  /** Forgets the chunks that end at or before `offset`. */
  trim(offset: number): void {
    for (let chunk = this.#chunks[this.#first]; chunk !== undefined; chunk = this.#chunks[this.#first]) {
      if (chunk.offset + chunk.bytes.length > offset) break
      this.#first += 1
    }
    if (this.#first < 1024 && this.#first < this.#chunks.length) return
    this.#chunks.splice(0, this.#first)
    this.#first = 0
  }

  /** The bytes from `offset` to the end of their chunk; undefined if they are not in memory. */
  from(offset: number): Uint8Array | undefined {
    const chunk = this.#chunks[this.#indexOf(offset)]
    if (chunk === undefined) return undefined
    return offset === chunk.offset ? chunk.bytes : chunk.bytes.subarray(offset - chunk.offset)
  }

  /** The bytes of a range that is in memory, as one array. */
  between(from: number, until: number): Uint8Array {
    const parts: Uint8Array[] = []
    for (let index = Math.max(this.#indexOf(from), this.#first); index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index]
      if (chunk === undefined || chunk.offset >= until) break
      parts.push(chunk.bytes.subarray(Math.max(0, from - chunk.offset), until - chunk.offset))
    }
    return concat(parts, Math.max(0, until - from))
  }

  #indexOf(offset: number): number {
    let low = this.#first
    let high = this.#chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const chunk = this.#chunks[middle]
      if (chunk === undefined) return -1
      if (offset < chunk.offset) high = middle - 1
      else if (offset >= chunk.offset + chunk.bytes.length) low = middle + 1
      else return middle
    }
    return -1
  }
}

/** One array of known total length; a single part is handed through. */
export function concat(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
