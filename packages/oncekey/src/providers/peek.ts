/**
 * Looks at a few members of a JSON text while its bytes pass by: nothing is kept, so an event of any length costs no
 * memory, and what a model writes inside a string can never pass for a member.
 */
import type { EventMembers } from './provider.ts'

/** Which members to look at, and how to get to them. */
export interface JsonShape {
  readonly report?: keyof EventMembers
  /** A number that is counted under this name. */
  readonly count?: string
  /** A string that is told under this name, cut at 128 bytes. */
  readonly text?: string
  readonly members?: ReadonlyMap<string, JsonShape>
  readonly items?: JsonShape
}

/** Hears the members that a shape names. */
export interface JsonSink {
  /** When its value begins (a container, a literal) or ends (a string). */
  see(name: keyof EventMembers, value: string | boolean): void
  count(name: string, value: number): void
  text(name: string, value: string): void
}

const quote = 0x22
const backslash = 0x5c
/** Longer keys are none of ours; a model's name may have some more bytes than OpenAI's longest event name, which has 41. */
const captureBytes = 128
/** Deeper than any shape goes; below it only brackets are counted. */
const watchedDepth = 8

/** A pushdown reader for one JSON text at a time. Lenient: it judges where values are, not whether they are valid. */
export class JsonPeek {
  #root: JsonShape
  readonly #sink: JsonSink
  readonly #shapes: (JsonShape | undefined)[] = new Array<JsonShape | undefined>(watchedDepth).fill(undefined)
  readonly #objects: boolean[] = new Array<boolean>(watchedDepth).fill(false)
  readonly #capture = new Uint8Array(captureBytes)
  #captured = 0
  #capturing = false
  #current: JsonShape | undefined
  #depth = 0
  #opened = false
  #broken = false
  #expectKey = false
  #inString = false
  #isKey = false
  #escaped = false
  #counting = false

  constructor(root: JsonShape, sink: JsonSink) {
    this.#root = root
    this.#sink = sink
  }

  /** What to look at from the next text on. */
  set root(root: JsonShape) {
    this.#root = root
  }

  /** One object or array was opened and closed, and nothing else. */
  get whole(): boolean {
    return this.#opened && this.#depth === 0 && !this.#broken
  }

  /** Begins the next text. */
  reset(): void {
    this.#depth = 0
    this.#current = undefined
    this.#opened = this.#broken = this.#expectKey = this.#inString = this.#escaped = false
    this.#counting = false
  }

  push(bytes: Uint8Array, from: number, to: number): void {
    let at = from
    while (at < to) {
      if (this.#inString) {
        at = this.#string(bytes, at, to)
        continue
      }
      const byte = bytes[at] ?? 0
      at += 1
      if (byte === quote) this.#openString()
      else if (byte === 0x7b || byte === 0x5b) this.#open(byte === 0x7b)
      else if (byte === 0x7d || byte === 0x5d) this.#close()
      else if (byte === 0x2c) this.#next()
      else if (byte === 0x3a) this.#expectKey = false
      else if (byte > 0x20) this.#literal(byte)
    }
  }

  #openString(): void {
    if (this.#depth === 0) this.#broken = true
    this.#inString = true
    this.#captured = 0
    this.#isKey = this.#expectKey
    this.#capturing = this.#isKey
      ? this.#shapes[this.#depth]?.members !== undefined
      : this.#current?.report !== undefined || this.#current?.text !== undefined
  }

  /** Goes on to the end of the string or of the bytes; answers where it stopped. */
  #string(bytes: Uint8Array, from: number, to: number): number {
    let at = from
    if (this.#escaped) {
      this.#escaped = false
      at += 1
    }
    while (at < to) {
      const byte = bytes[at]
      if (byte === quote) break
      at += byte === backslash ? 2 : 1
    }
    // Two steps past a backslash that is the last byte we have: the escaped one is still to come.
    this.#escaped = at > to
    const stop = Math.min(at, to)
    if (this.#capturing) this.#keep(bytes, from, stop)
    if (stop === to) return to
    this.#inString = false
    if (this.#isKey) this.#endKey()
    else this.#report(this.#capturing ? this.#text() : '')
    return stop + 1
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to && this.#captured <= captureBytes; at++) {
      if (this.#captured < captureBytes) this.#capture[this.#captured] = bytes[at] ?? 0
      this.#captured += 1
    }
  }

  #endKey(): void {
    const shape = this.#shapes[this.#depth]
    this.#current = this.#capturing && this.#captured <= captureBytes ? shape?.members?.get(this.#text()) : undefined
  }

  /** The captured bytes as ASCII; names that are not ASCII match nothing we look for. */
  #text(): string {
    let text = ''
    for (let at = 0; at < Math.min(this.#captured, captureBytes); at++)
      text += String.fromCharCode(this.#capture[at] ?? 0)
    if (!text.includes('\\')) return text
    try {
      return String(JSON.parse(`"${text}"`))
    } catch {
      return text
    }
  }

  #report(value: string | boolean): void {
    const shape = this.#current
    this.#current = undefined
    if (shape?.report !== undefined) this.#sink.see(shape.report, value)
    else if (shape?.text !== undefined && typeof value === 'string') this.#sink.text(shape.text, value)
  }

  #open(isObject: boolean): void {
    if (this.#depth === 0) {
      if (this.#opened) this.#broken = true
      this.#opened = true
      this.#current = this.#root
    }
    const shape = this.#current
    this.#report(true)
    this.#depth += 1
    const watched = this.#depth < watchedDepth
    if (watched) {
      this.#shapes[this.#depth] = shape
      this.#objects[this.#depth] = isObject
    }
    this.#expectKey = watched && isObject
    this.#current = watched && !isObject ? shape?.items : undefined
  }

  #close(): void {
    if (this.#counting) this.#endCount()
    if (this.#depth === 0) this.#broken = true
    else this.#depth -= 1
    this.#current = undefined
    this.#expectKey = false
  }

  #next(): void {
    if (this.#counting) this.#endCount()
    if (this.#depth >= watchedDepth) return
    const isObject = this.#objects[this.#depth] === true
    this.#expectKey = isObject
    this.#current = isObject ? undefined : this.#shapes[this.#depth]?.items
  }

  /** Numbers, true, false, null: the first byte that tells whether it counts as something (0, false and null do not). */
  #literal(byte: number): void {
    if (this.#depth === 0) this.#broken = true
    if (this.#current?.count !== undefined) return this.#digit(byte)
    if (this.#current === undefined || byte === 0x2d || byte === 0x2e || byte === 0x30) return
    this.#report(byte === 0x74 || (byte > 0x30 && byte <= 0x39))
  }

  #digit(byte: number): void {
    if (!this.#counting) this.#captured = 0
    this.#counting = true
    if (this.#captured < captureBytes) this.#capture[this.#captured++] = byte
  }

  /** A number has no end of its own: the comma or bracket behind it tells. What is none, like null, counts nothing. */
  #endCount(): void {
    this.#counting = false
    const value = Number(this.#text())
    const name = this.#current?.count
    if (name !== undefined && value >= 0 && Number.isFinite(value)) this.#sink.count(name, value)
  }
}
