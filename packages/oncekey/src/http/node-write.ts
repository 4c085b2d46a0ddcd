/** The many ways to call `writeHead`, `write` and `end` of a ServerResponse, read into one. */

/** What `write` and `end` are given. */
export interface WriteArguments {
  readonly chunk: unknown
  readonly encoding: BufferEncoding | undefined
  readonly callback: (() => void) | undefined
}

/** `(chunk, encoding, callback)`, of which each may be left out. */
export function writeArguments(values: readonly unknown[]): WriteArguments {
  const callback = values.find((value) => typeof value === 'function') as WriteArguments['callback']
  const [chunk, encoding] = values.filter((value) => typeof value !== 'function')
  return { chunk, encoding: encoding as BufferEncoding | undefined, callback }
}

/** A copy, for the writer may use its buffer again. Throws for what Node does not take either. */
export function asBytes(chunk: unknown, encoding: BufferEncoding | undefined): Uint8Array {
  if (typeof chunk === 'string') return Buffer.from(chunk, encoding)
  if (chunk instanceof Uint8Array) return Uint8Array.prototype.slice.call(chunk)
  throw Object.assign(
    new TypeError('The "chunk" argument must be of type string or an instance of Buffer or Uint8Array.'),
    {
      code: 'ERR_INVALID_ARG_TYPE',
    },
  )
}

/** Headers as an object, as pairs or as a flat list → a flat list. */
export function flatHeaders(given: unknown): string[] {
  if (given === undefined || given === null) return []
  const pairs = Array.isArray(given) ? (Array.isArray(given[0]) ? given : inPairs(given)) : Object.entries(given)
  const flat: string[] = []
  for (const [name, value] of pairs as [string, unknown][]) {
    if (value === undefined) continue
    for (const one of [value].flat()) flat.push(name, String(one))
  }
  return flat
}

function inPairs(list: readonly unknown[]): [string, unknown][] {
  const pairs: [string, unknown][] = []
  for (let at = 0; at + 1 < list.length; at += 2) pairs.push([list[at] as string, list[at + 1]])
  return pairs
}
