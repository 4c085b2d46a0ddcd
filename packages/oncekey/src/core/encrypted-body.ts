/** Where the blobs of one attempt's encrypted body lie: offsets of plain bytes to those that the store counts in. */
import { leastOverhead } from './blob.ts'

/** One place in a body, where a blob begins. */
export interface Boundary {
  readonly plain: number
  readonly stored: number
}

/** A piece that was sent and not answered: it may be there, so it goes out again byte for byte (S10). */
interface Unanswered {
  readonly offset: number
  readonly plain: Uint8Array
  readonly blobs: Uint8Array
}

/** Boundaries are remembered this far apart, in plain bytes: a body of 64 MiB in small pieces has a million. */
const apartBytes = 65_536

/** What a process knows of one attempt's body. */
export class EncryptedBody {
  /** The last boundary that this process has seen. */
  end: Boundary = { plain: 0, stored: 0 }
  /** Of a completed outcome: its length by the authenticated head. A body that ends before it was cut. */
  total: number | undefined
  /** Undefined while nobody has seen a head or a byte. */
  encrypted: boolean | undefined
  readonly #boundaries: Boundary[] = [this.end]
  #unanswered: readonly Unanswered[] = []

  /** A blob ends here. */
  reached(boundary: Boundary): void {
    if (boundary.plain <= this.end.plain) return
    this.end = boundary
    this.#unanswered = this.#unanswered.filter(({ offset }) => offset >= boundary.plain)
    const last = this.#boundaries.at(-1)
    if (last === undefined || boundary.plain - last.plain >= apartBytes) this.#boundaries.push(boundary)
  }

  /** The last remembered boundary at or before an offset of plain bytes. */
  before(plain: number): Boundary {
    if (plain >= this.end.plain) return this.end
    let found = this.#boundaries[0] as Boundary
    let high = this.#boundaries.length - 1
    for (let low = 0; low <= high; ) {
      const middle = (low + high) >> 1
      const boundary = this.#boundaries[middle] as Boundary
      if (boundary.plain <= plain) {
        found = boundary
        low = middle + 1
      } else high = middle - 1
    }
    return found
  }

  /** The store's offset for one of plain bytes; that of the end for the end, and for nothing else. */
  storedOffset(plain: number): number {
    const from = this.before(plain)
    return from.stored + plain - from.plain
  }

  /**
   * Plain bytes of a body of which the store has so many. Right where this process wrote or read them; else the most
   * there can be, and always more than before where there is more.
   */
  plainLength(stored: number): number {
    if (stored === 0) return 0
    const more = stored - this.end.stored
    return more <= 0 ? this.end.plain : this.end.plain + Math.max(1, more - leastOverhead)
  }

  /** The blobs of a piece: those that went out before, if it is the same piece. */
  blobsOf(offset: number, plain: Uint8Array, encrypt: () => Uint8Array): Uint8Array {
    const sent = this.#unanswered.find((one) => one.offset === offset && same(one.plain, plain))
    if (sent !== undefined) return sent.blobs
    const blobs = encrypt()
    this.#unanswered = [...this.#unanswered.filter((one) => one.offset !== offset), { offset, plain, blobs }]
    return blobs
  }
}

/** Byte for byte. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, at) => byte === b[at]))
}
