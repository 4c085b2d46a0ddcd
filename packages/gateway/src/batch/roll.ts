/** The lines of a batch by number and by name, some 60 bytes each: what they are, and where their results stand. */
import { createHash } from 'node:crypto'

const digestBytes = 16

/**
 * Every line has an index in the order of the file. Names are kept as digests in one table, for a map of a hundred
 * thousand strings would be the largest thing in the process.
 */
export class Roll {
  #count = 0
  #names = Buffer.alloc(0)
  #contents = Buffer.alloc(0)
  #numbers = new Uint32Array(0)
  #offsets = new Float64Array(0)
  #lengths = new Uint32Array(0)
  /** Open addressing; index + 1, so that 0 is free. */
  #slots = new Uint32Array(0)

  get count(): number {
    return this.#count
  }

  /** Adds a line; undefined, or the number of the earlier line that has the same name. */
  add(customId: string, content: Buffer, number: number): number | undefined {
    if (this.#count === this.#numbers.length) this.#grow()
    const name = nameOf(customId)
    const slot = this.#slotOf(name)
    const taken = this.#slots[slot] as number
    if (taken > 0) return this.#numbers[taken - 1]
    const index = this.#count++
    name.copy(this.#names, index * digestBytes)
    content.copy(this.#contents, index * digestBytes)
    this.#numbers[index] = number
    this.#slots[slot] = index + 1
    return undefined
  }

  /** The index of a name. */
  find(customId: string): number | undefined {
    if (this.#count === 0) return undefined
    const taken = this.#slots[this.#slotOf(nameOf(customId))] as number
    return taken === 0 ? undefined : taken - 1
  }

  content(index: number): Buffer {
    return this.#contents.subarray(index * digestBytes, (index + 1) * digestBytes)
  }

  /** Notes where the result of a line stands, bytes without the line feed. */
  place(index: number, offset: number, length: number): void {
    this.#offsets[index] = offset
    this.#lengths[index] = length
  }

  /** Where the result of a line stands; undefined where there is none. */
  placeOf(index: number): { readonly offset: number; readonly length: number } | undefined {
    const length = this.#lengths[index] ?? 0
    return length === 0 ? undefined : { offset: this.#offsets[index] as number, length }
  }

  #slotOf(name: Buffer): number {
    const mask = this.#slots.length - 1
    for (let slot = name.readUInt32LE() & mask; ; slot = (slot + 1) & mask) {
      const taken = this.#slots[slot] as number
      if (taken === 0 || name.compare(this.#names, (taken - 1) * digestBytes, taken * digestBytes) === 0) return slot
    }
  }

  #grow(): void {
    const room = Math.max(1_024, this.#numbers.length * 2)
    this.#names = larger(this.#names, Buffer.alloc(room * digestBytes))
    this.#contents = larger(this.#contents, Buffer.alloc(room * digestBytes))
    this.#numbers = larger(this.#numbers, new Uint32Array(room))
    this.#offsets = larger(this.#offsets, new Float64Array(room))
    this.#lengths = larger(this.#lengths, new Uint32Array(room))
    // Half empty, so that a search is short.
    this.#slots = new Uint32Array(room * 2)
    for (let index = 0; index < this.#count; index++) {
      const name = this.#names.subarray(index * digestBytes, (index + 1) * digestBytes)
      this.#slots[this.#slotOf(name)] = index + 1
    }
  }
}

function nameOf(customId: string): Buffer {
  // As JSON, so that halves of surrogate pairs stay apart.
  return createHash('sha256').update(JSON.stringify(customId)).digest().subarray(0, digestBytes)
}

function larger<T extends Uint8Array | Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from)
  return to
}
