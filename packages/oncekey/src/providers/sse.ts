/** The grammar of `text/event-stream` (WHATWG HTML, "Server-sent events", parsing) over bytes in any split. */

/** Hears the lines of a stream in order. Comments, `retry:` and unknown fields are not reported. */
export interface SseSink {
  /** A piece of a data line's value, `from` to `to` of `bytes`; the pieces of one line follow each other. */
  data(bytes: Uint8Array, from: number, to: number): void
  /** The data line is whole. */
  dataLine(): void
  event(name: Uint8Array): void
  id(id: Uint8Array): void
  /** A blank line, which ends before `endsAt`: the block is over, and with data in it the event is dispatched. */
  block(endsAt: number): void
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const colon = 0x3a
const byteOrderMark = [0xef, 0xbb, 0xbf] as const
/** The longest field name that means something here is `event`. */
const nameBytes = 5
/** Event names and ids beyond this are cut: no header could bring such an id back. */
const valueBytes = 8 * 1024

type Field = 'name' | 'data' | 'event' | 'id' | 'other'

/** Splits bytes into lines, lines into fields, and keeps no more of them than a name or an id. */
export class SseReader {
  /** Bytes seen. */
  offset = 0
  /** Offset of the first byte of the block under way. */
  blockStart = 0
  readonly #sink: SseSink
  #bomBytes = 0
  #field: Field = 'name'
  #name = ''
  #value: number[] = []
  #valueBegun = false
  #lineEmpty = true
  #blank = false
  #afterCr = false
  #loneCr = false

  constructor(sink: SseSink) {
    this.#sink = sink
  }

  /**
   * At the begin, or just after a blank line. Between a CR and an LF that may come it is not: only a stream that ends
   * its lines by CR alone is at an event's end there.
   */
  get atEventEnd(): boolean {
    return this.offset === 0 || (this.#blank && (!this.#afterCr || this.#loneCr))
  }

  push(bytes: Uint8Array): void {
    const base = this.offset
    const end = bytes.length
    let at = this.#skipByteOrderMark(bytes)
    let feed = -1
    let carriage = -1
    while (at < end) {
      if (this.#afterCr) {
        this.#afterCr = false
        this.#loneCr = bytes[at] !== lineFeed
        if (!this.#loneCr) {
          at += 1
          if (this.#blank) this.blockStart = base + at
          continue
        }
      }
      // Each kind of line end is searched once over the bytes, not once a line.
      if (feed < at) feed = nextOf(bytes, lineFeed, at)
      if (carriage < at) carriage = nextOf(bytes, carriageReturn, at)
      const stop = Math.min(feed, carriage)
      if (stop > at) this.#text(bytes, at, stop)
      if (stop === end) break
      at = stop + 1
      this.#afterCr = stop === carriage
      this.#endLine(base + at)
    }
    this.offset = base + end
  }

  /** The stream has ended cleanly: a last line without its line end counts as whole. */
  finish(): void {
    if (!this.#lineEmpty) this.#endLine(this.offset)
  }

  /** Skips what is left of the mark; a begun one that turns out to be none makes a line we do not know. */
  #skipByteOrderMark(bytes: Uint8Array): number {
    let at = 0
    while (this.#bomBytes < byteOrderMark.length && at < bytes.length) {
      if (bytes[at] === byteOrderMark[this.#bomBytes]) {
        this.#bomBytes += 1
        at += 1
        continue
      }
      if (this.#bomBytes > 0) {
        this.#lineEmpty = false
        this.#field = 'other'
      }
      this.#bomBytes = byteOrderMark.length
    }
    return at
  }

  #text(bytes: Uint8Array, from: number, to: number): void {
    this.#lineEmpty = false
    this.#blank = false
    let at = from
    while (this.#field === 'name' && at < to) {
      const byte = bytes[at] ?? 0
      at += 1
      if (byte === colon) this.#field = fieldOf(this.#name)
      else if (this.#name.length === nameBytes) this.#field = 'other'
      else this.#name += String.fromCharCode(byte)
    }
    if (at === to || this.#field === 'other' || this.#field === 'name') return
    if (!this.#valueBegun) {
      this.#valueBegun = true
      if (bytes[at] === space) at += 1
    }
    if (this.#field === 'data') {
      if (at < to) this.#sink.data(bytes, at, to)
    } else {
      for (; at < to && this.#value.length < valueBytes; at++) this.#value.push(bytes[at] ?? 0)
    }
  }

  #endLine(offsetAfter: number): void {
    if (this.#lineEmpty) {
      this.#blank = true
      this.#sink.block(offsetAfter)
      this.blockStart = offsetAfter
      return
    }
    // A line without a colon is a field with an empty value.
    const field = this.#field === 'name' ? fieldOf(this.#name) : this.#field
    if (field === 'data') this.#sink.dataLine()
    else if (field === 'event') this.#sink.event(Uint8Array.from(this.#value))
    else if (field === 'id' && !this.#value.includes(0)) this.#sink.id(Uint8Array.from(this.#value))
    this.#field = 'name'
    this.#name = ''
    this.#value = []
    this.#valueBegun = false
    this.#lineEmpty = true
  }
}

function nextOf(bytes: Uint8Array, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from)
  return at === -1 ? bytes.length : at
}

function fieldOf(name: string): Field {
  return name === 'data' || name === 'event' || name === 'id' ? name : 'other'
}
