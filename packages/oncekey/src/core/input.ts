/** RFC 8785 canonical form of a value in memory: what a library caller gives as the input of an operation. */
import { type CanonicalOptions, maxJsonDepth } from './canonical.ts'
import { IdempotencyError } from './errors.ts'
import { descend, ignoredPaths, type OpenPaths } from './ignore.ts'

/** The way down to the value that is being written. */
interface Place {
  readonly path: string[]
  readonly above: object[]
}

/**
 * The canonical form of a JSON value, the same as that of the text JSON.stringify makes of it: `toJSON` is honoured,
 * undefined members are dropped, undefined items are null. What JSON.stringify would lose without a word throws
 * `body_malformed` with the path: bigint, NaN, infinities, functions, symbols, cycles, nesting deeper than
 * {@link maxJsonDepth}, bytes inside a value, and objects that are not plain data (Map, Set, Error, Promise, …).
 */
export function canonicalValue(value: unknown, options: CanonicalOptions = {}): string {
  const place: Place = { path: [], above: [] }
  const canonical = writeValue(value, '', place, options.ignore && ignoredPaths(options.ignore))
  if (canonical === undefined) throw refused(place, 'is undefined')
  return canonical
}

function writeValue(given: unknown, key: string, place: Place, open: OpenPaths | undefined): string | undefined {
  if (ArrayBuffer.isView(given)) throw refused(place, 'is bytes', 'Give bytes alone, or a digest of them.')
  const value = hasToJson(given) ? given.toJSON(key) : given
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'undefined':
      return undefined
    case 'number':
      if (!Number.isFinite(value)) throw refused(place, `is ${value}`)
      return JSON.stringify(value)
    case 'object':
      return value === null ? 'null' : writeObject(value, place, open)
    default:
      throw refused(place, `is a ${typeof value}`)
  }
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return typeof value === 'object' && value !== null && 'toJSON' in value && typeof value.toJSON === 'function'
}

function writeObject(value: object, place: Place, open: OpenPaths | undefined): string {
  if (place.above.includes(value)) throw refused(place, 'contains itself')
  if (place.above.length >= maxJsonDepth) throw refused(place, `is nested deeper than ${maxJsonDepth} levels`)
  place.above.push(value)
  const written = Array.isArray(value) ? writeArray(value, place, open) : writeMembers(value, place, open)
  place.above.pop()
  return written
}

function writeArray(items: readonly unknown[], place: Place, open: OpenPaths | undefined): string {
  const written: string[] = []
  for (let index = 0; index < items.length; index++) {
    const below = open && descend(open, String(index))
    if (below === 'ignored') continue
    place.path.push(`[${index}]`)
    written.push(writeValue(items[index], String(index), place, below) ?? 'null')
    place.path.pop()
  }
  return `[${written.join(',')}]`
}

function writeMembers(value: object, place: Place, open: OpenPaths | undefined): string {
  // Anything else keeps its content where JSON.stringify does not look, and two of them would have one fingerprint.
  const tag = Object.prototype.toString.call(value).slice(8, -1)
  if (tag !== 'Object') throw refused(place, `is of type ${tag}`)
  const written: string[] = []
  for (const name of Object.keys(value).sort()) {
    const below = open && descend(open, name)
    if (below === 'ignored') continue
    place.path.push(`.${name}`)
    const member = writeValue((value as Record<string, unknown>)[name], name, place, below)
    place.path.pop()
    if (member !== undefined) written.push(`${JSON.stringify(name)}:${member}`)
  }
  return `{${written.join(',')}}`
}

function refused(place: Place, what: string, instead = 'Give JSON values only, bytes, or a digest.'): IdempotencyError {
  return new IdempotencyError(
    'body_malformed',
    `The input has no fingerprint: input${place.path.join('')} ${what}, which JSON cannot hold. ${instead}`,
  )
}
