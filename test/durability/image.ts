/** When the power may go, and what a disk may hold then: the durable writes, and any part of the others. */
import type { Event, Write } from './trace.ts'

/** What a workload was told, as it wrote it (workload.mjs). */
export interface Ack {
  readonly key: number
  readonly attempt: number
  readonly attemptId: string
  readonly step: 'claimed' | 'dispatched' | 'released' | 'completed'
}

/** Where the power goes: a line of the trace. Drawn so that the moments come up at which most is at stake. */
export class Cuts {
  readonly #events: readonly Event[]
  readonly #acks: readonly Event[]
  readonly #joins: readonly (readonly Event[])[]
  /** The first sync of all is over: before it there is no store yet. */
  readonly #madeAt: number
  readonly #firstAt: number

  constructor(events: readonly Event[]) {
    this.#madeAt = events.find(({ kind }) => kind === 'sync')?.end ?? Number.POSITIVE_INFINITY
    this.#firstAt = events.find(({ kind }) => kind === 'write')?.start ?? Number.POSITIVE_INFINITY
    this.#events = events.filter(({ start }) => start > this.#madeAt)
    this.#acks = this.#events.filter(({ kind }) => kind === 'ack')
    const writers = new Set(events.flatMap((event) => (event.kind === 'write' ? [event.process] : [])))
    this.#joins = [...writers].map((process) => this.#join(process)).filter(({ length }) => length > 0)
  }

  /** An acknowledgement, an event while a process joins, or any event; it has just begun, or is just over. */
  draw(number: number, draw: () => number): number {
    const pick = <T>(list: readonly T[]): T => list[Math.floor(draw() * list.length)] as T
    const { start } = pick([this.#acks, pick(this.#joins), this.#events][number % 3] ?? [])
    return start + Math.floor(draw() * 2)
  }

  /** From the first write of all to the end of the first sync. */
  drawEarly(draw: () => number): number {
    return this.#firstAt + Math.floor(draw() * (this.#madeAt - this.#firstAt))
  }

  /** From the first write of a process to a little after its first sync: what it found may not have been flushed yet. */
  #join(process: string): readonly Event[] {
    const own = this.#events.filter((event) => event.process === process)
    const from = own.find(({ kind }) => kind === 'write')?.start ?? Number.POSITIVE_INFINITY
    const synced = own.find(({ kind, start }) => kind === 'sync' && start > from)?.end ?? from
    return this.#events.filter(({ start }) => start >= from && start <= synced + afterSync)
  }
}

/** Lines: LMDB notes a sync on the first page, in the write after it. */
const afterSync = 4

/** A file after a power cut, with what had been acknowledged by then. */
export interface Image {
  readonly bytes: Buffer
  readonly acks: readonly Ack[]
  /** Writes that had begun and were not durable, and how many of them the image has, whole or torn. */
  readonly loose: number
  readonly kept: number
}

/** What becomes of the writes that are not durable. */
export const fates = ['none', 'all', 'random', 'torn', 'meta pages', 'data pages'] as const
export type Fate = (typeof fates)[number]

/** The unit that a disk writes whole, and the one that the page cache hands to it. */
const tears = [512, 4096] as const

/** The first two pages say which root is the newest. */
const metaBytes = 2 * 4096

/**
 * The file if the power goes at line `cut` of the trace. A sync makes durable what was written before it *began*, and
 * only once it is over; a call counts as acknowledged as soon as it starts to say so.
 */
export function imageAt(events: readonly Event[], cut: number, fate: Fate, draw: () => number): Image {
  const begun = events.filter(({ start }) => start <= cut)
  const flushedUntil = Math.max(-1, ...begun.flatMap((e) => (e.kind === 'sync' && e.end <= cut ? [e.start] : [])))
  const disk = new Disk()
  let loose = 0
  let kept = 0
  for (const write of begun) {
    if (write.kind !== 'write') continue
    const durable = write.end <= cut && (write.durable || write.end <= flushedUntil)
    if (durable) disk.apply(write.offset, write.bytes)
    else {
      loose += 1
      if (disk.perhaps(write, fate, draw)) kept += 1
    }
  }
  const acks = begun.flatMap((e) => (e.kind === 'ack' ? [JSON.parse(e.line) as Ack] : []))
  return { bytes: disk.bytes(), acks, loose, kept }
}

class Disk {
  #held = Buffer.alloc(1 << 20)
  #size = 0

  apply(offset: number, bytes: Uint8Array): void {
    const size = offset + bytes.length
    if (size > this.#held.length) this.#held = Buffer.concat([this.#held, Buffer.alloc(size)])
    this.#held.set(bytes, offset)
    this.#size = Math.max(this.#size, size)
  }

  /** Writes nothing, all, or pieces, as fate and chance have it; false for nothing. */
  perhaps({ offset, bytes }: Write, fate: Fate, draw: () => number): boolean {
    const meta = offset < metaBytes
    const byPage = { 'meta pages': meta ? 1 : 0.2, 'data pages': meta ? 0 : 0.9 }
    const chance = { none: 0, all: 1, random: 0.5, torn: 1, ...byPage }[fate]
    if (draw() >= chance) return false
    const torn = fate === 'torn' || (fate !== 'all' && draw() < 0.5)
    const unit = tears[Math.floor(draw() * tears.length)] as number
    let some = false
    for (let at = 0; at < bytes.length; ) {
      // Tears are at the disk's own borders, not the write's.
      const to = Math.min(bytes.length, at + unit - ((offset + at) % unit))
      if (!torn || draw() < 0.5) {
        this.apply(offset + at, bytes.subarray(at, to))
        some = true
      }
      at = to
    }
    return some
  }

  bytes(): Buffer {
    return Buffer.from(this.#held.subarray(0, this.#size))
  }
}
