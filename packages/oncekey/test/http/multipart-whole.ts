/** How a multipart body is split when it is whole in memory: what the reader that streams is compared with. */
import { utf8Text } from '../../src/core/canonical.ts'
import { trimmed } from '../../src/core/key.ts'

/** One part: its header fields by lower-case name in sorted order, and its content inside the given body. */
export interface Part {
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly content: Uint8Array
}

/** More parts than any API takes; a body with more falls back to its bytes. */
const maxParts = 10_000

/** Most bytes of header fields in one part. */
const maxPartHeaderBytes = 16 * 1024

const CR = 13
const LF = 10
const DASH = 45

/**
 * The parts in order, or undefined where the body is not exactly what senders write: `--b CRLF part CRLF --b … --b--`,
 * with nothing before the first delimiter and at most a line break after the last. Whatever a lenient reader might
 * understand in two ways is thus never taken for the same request. Linear in the length of the body.
 */
export function multipartParts(body: Uint8Array, boundary: string): Part[] | undefined {
  const delimiter = new TextEncoder().encode(`\r\n--${boundary}`)
  if (!startsWith(body, delimiter.subarray(2), 0)) return undefined
  const parts: Part[] = []
  let at = delimiter.length - 2
  for (;;) {
    if (body[at] === DASH && body[at + 1] === DASH) {
      const rest = body.length - at - 2
      const isEnd = rest === 0 || (rest === 2 && body[at + 2] === CR && body[at + 3] === LF)
      return isEnd && parts.length > 0 ? parts : undefined
    }
    if (body[at] !== CR || body[at + 1] !== LF || parts.length === maxParts) return undefined
    const end = find(body, delimiter, at + 2)
    const part = end < 0 ? undefined : partOf(body, at + 2, end)
    if (part === undefined) return undefined
    parts.push(part)
    at = end + delimiter.length
  }
}

/** Reads header lines up to the empty one; bare line feeds, folded lines and lines without a name are refused. */
function partOf(body: Uint8Array, start: number, end: number): Part | undefined {
  const headers: [string, string][] = []
  const readable = body.subarray(0, Math.min(end, start + maxPartHeaderBytes))
  let at = start
  for (;;) {
    const lineEnd = find(readable, lineBreak, at)
    if (lineEnd < 0) return undefined
    if (lineEnd === at) break
    const line = utf8Text(body.subarray(at, lineEnd))
    const [, name, value] = /^([!#$%&'*+.^_`|~\w-]+):([^\n\r]*)$/.exec(line ?? '') ?? []
    if (name === undefined || value === undefined) return undefined
    headers.push([name.toLowerCase(), trimmed(value)])
    at = lineEnd + 2
  }
  headers.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return { headers, content: body.subarray(at + 2, end) }
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
