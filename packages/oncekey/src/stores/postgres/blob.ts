/** Bytes of many entries as one value: PostgreSQL cuts them out where they are used. */

/** Gathers bytes; positions are SQL's, from 1. */
export class Blob {
  readonly #pieces: Uint8Array[] = []
  #end = 1

  /** Where the bytes will begin. */
  add(bytes: Uint8Array): number {
    const at = this.#end
    this.#pieces.push(bytes)
    this.#end += bytes.length
    return at
  }

  /** All of them, one behind the other. */
  bytes(): Uint8Array {
    return Buffer.concat(this.#pieces)
  }
}
