/** Reads a multipart body (RFC 2046 §5.1) as it comes: the header fields of its parts, and digests of their content. */
import { utf8Text } from '../core/canonical.ts'
import type { Digest, Hasher } from '../core/digest.ts'
import { trimmed } from '../core/key.ts'
import { concat } from '../core/window.ts'

/** One part: its header fields by lower-case name in sorted order, and what its content is. */
export interface Part {
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** SHA-256 of the content. */
  readonly digest: string
  /** What the content begins with, 256 bytes at most: a short field whole. */
  readonly begin: Uint8Array
}

/** More parts than any API takes; a body with more falls back to its bytes. */
const maxParts = 10_000

/** Most bytes of header fields in one part. */
const maxPartHeaderBytes = 16 * 1024

const beginBytes = 256

const CR = 13
const LF = 10
const DASH = 45

/** A part under way. */
interface OpenPart {
  readonly headers: [name: string, value: string][]
  /** Bytes of header fields that are read. */
  headerBytes: number
  /** The empty line has come. */
  hasContent: boolean
  /** Of a header line that is not whole yet; then what the content begins with. */
  held: Uint8Array
  readonly hasher: Hasher
}

/**
 * The parts in order, or undefined where the body is not exactly what senders write: `--b CRLF part CRLF --b … --b--`,
 * with nothing before the first delimiter and at most a line break after the last. Whatever a lenient reader might
 * understand in two ways is thus never taken for the same request. Linear in the length of the body, in constant memory.
 */
export class MultipartReader {
  readonly #digest: Digest
  readonly #delimiter: Uint8Array
  readonly #parts: Part[] = []
  /** Bytes of which it is not known yet what they are. */
  #pending: Uint8Array = nothing
  #part: OpenPart | undefined
  #state: 'first' | 'delimited' | 'part' | 'last' | 'failed' = 'first'

  constructor(digest: Digest, boundary: string) {
    this.#digest = digest
    this.#delimiter = new TextEncoder().encode(`\r\n--${boundary}`)
  }

  push(bytes: Uint8Array): void {
    if (this.#state === 'failed') return
    this.#pending = joined(this.#pending, bytes)
    while (this.#step());
    // A view of a chunk would keep all of it.
    this.#pending = this.#pending.slice()
  }

  /** Ends the body. */
  end(): Part[] | undefined {
    const rest = this.#pending
    const isEnd = rest.length === 0 || (rest.length === 2 && rest[0] === CR && rest[1] === LF)
    return this.#state === 'last' && isEnd && this.#parts.length > 0 ? this.#parts : undefined
  }

  /** Goes on by one delimiter or line end; false when more bytes are needed, or none are of use. */
  #step(): boolean {
    switch (this.#state) {
      case 'first':
        return this.#first()
      case 'delimited':
        return this.#delimited()
      case 'part':
        return this.#within()
      case 'last':
        return this.#pending.length > 2 && this.#fail()
      case 'failed':
        return false
    }
  }

  #first(): boolean {
    const wanted = this.#delimiter.subarray(2)
    if (this.#pending.length < wanted.length) return false
    if (!startsWith(this.#pending, wanted, 0)) return this.#fail()
    return this.#go('delimited', wanted.length)
  }

  #delimited(): boolean {
    const [first, second] = this.#pending
    if (first === undefined || second === undefined) return false
    if (first === DASH && second === DASH) return this.#go('last', 2)
    if (first !== CR || second !== LF || this.#parts.length === maxParts) return this.#fail()
    this.#part = { headers: [], headerBytes: 0, hasContent: false, held: nothing, hasher: this.#digest.hasher() }
    return this.#go('part', 2)
  }

  #within(): boolean {
    const end = find(this.#pending, this.#delimiter, 0)
    // What is left may be the begin of a delimiter.
    const length = end >= 0 ? end : Math.max(0, this.#pending.length - this.#delimiter.length + 1)
    if (!this.#take(this.#pending.subarray(0, length))) return this.#fail()
    if (end < 0) {
      this.#pending = this.#pending.subarray(length)
      return false
    }
    const part = this.#part
    if (part === undefined || !part.hasContent) return this.#fail()
    part.headers.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    this.#parts.push({ headers: part.headers, digest: part.hasher.digest(), begin: part.held })
    return this.#go('delimited', end + this.#delimiter.length)
  }

  /** Bytes that belong to the part; false where they cannot. */
  #take(bytes: Uint8Array): boolean {
    const part = this.#part
    if (part === undefined) return false
    if (!part.hasContent) {
      const lines = joined(part.held, bytes)
      const read = readLines(part, lines)
      if (read === undefined) return false
      const rest = lines.subarray(read)
      part.held = part.hasContent ? nothing : rest
      return part.hasContent ? this.#take(rest) : part.headerBytes + rest.length < maxPartHeaderBytes
    }
    part.hasher.update(bytes)
    if (part.held.length < beginBytes) part.held = joined(part.held, bytes.subarray(0, beginBytes - part.held.length))
    return true
  }

  #go(state: 'delimited' | 'part' | 'last', consumed: number): true {
    this.#state = state
    this.#pending = this.#pending.subarray(consumed)
    return true
  }

  #fail(): false {
    this.#state = 'failed'
    this.#pending = nothing
    this.#part = undefined
    return false
  }
}

const nothing = new Uint8Array(0)

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.length === 0) return second
  return concat([first, second], first.length + second.length)
}

/**
 * Reads whole header lines, the empty one included, and answers how many bytes they are. Undefined for bare line feeds,
 * folded lines, lines without a name, and more header than anybody writes.
 */
function readLines(part: OpenPart, bytes: Uint8Array): number | undefined {
  for (let at = 0; ; ) {
    const lineEnd = find(bytes, lineBreak, at)
    if (lineEnd < 0) return at
    part.headerBytes += lineEnd + 2 - at
    if (part.headerBytes > maxPartHeaderBytes) return undefined
    if (lineEnd === at) {
      part.hasContent = true
      return at + 2
    }
    const line = utf8Text(bytes.subarray(at, lineEnd))
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):([^\n\r]*)$/.exec(line ?? '') ?? []
    if (name === undefined || value === undefined) return undefined
    part.headers.push([name.toLowerCase(), trimmed(value)])
    at = lineEnd + 2
  }
}

const lineBreak = Uint8Array.of(CR, LF)

/**
 * The first place of a pattern that begins with CR LF and has no other CR. Candidates therefore never overlap, and
 * every byte is looked at twice at most, whatever the body holds.
 */
function find(body: Uint8Array, pattern: Uint8Array, from: number): number {
  for (let at = body.indexOf(CR, from); at >= 0; at = body.indexOf(CR, at + 1)) {
    // A run of CRs is passed here, since a native call for each costs 30 times as much.
    while (body[at + 1] === CR) at++
    if (body[at + 1] === LF && startsWith(body, pattern, at)) return at
  }
  return -1
}

function startsWith(body: Uint8Array, pattern: Uint8Array, at: number): boolean {
  if (at + pattern.length > body.length) return false
  for (let index = 0; index < pattern.length; index++) {
    if (body[at + index] !== pattern[index]) return false
  }
  return true
}
