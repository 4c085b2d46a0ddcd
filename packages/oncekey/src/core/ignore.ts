/** Which members and items of a JSON value stay out of its fingerprint. */
import { IdempotencyError } from './errors.ts'

/** A place in the tree of ignored paths. */
interface PathNode {
  readonly below: Map<string, PathNode>
  /** A path ends here: what stands at this place is ignored. */
  ends: boolean
}

/** The paths that are still open at one place of a JSON value: several, since `*` and a name can both match. */
export type OpenPaths = readonly PathNode[]

/** Compiled once for a list, for the list comes from configuration and is the same for every request. */
const compiled = new WeakMap<readonly string[], OpenPaths>()

/**
 * Compiles paths such as `metadata.trace_id`, `$.messages[*].id` or `messages.*.id`; `*` stands for every item or
 * member. Throws `config_invalid` on a path it cannot read, so call it once at start.
 */
export function ignoredPaths(paths: readonly string[]): OpenPaths {
  const known = compiled.get(paths)
  if (known !== undefined) return known
  const root: PathNode = { below: new Map(), ends: false }
  for (const path of paths) {
    let node = root
    for (const segment of segmentsOf(path)) {
      let next = node.below.get(segment)
      if (next === undefined) {
        next = { below: new Map(), ends: false }
        node.below.set(segment, next)
      }
      node = next
    }
    node.ends = true
  }
  const open = [root]
  compiled.set(paths, open)
  return open
}

/** Goes down to a member or item: `'ignored'`, the paths still open below it, or undefined when there are none. */
export function descend(open: OpenPaths | undefined, segment: string): OpenPaths | 'ignored' | undefined {
  if (open === undefined) return undefined
  const next: PathNode[] = []
  for (const node of open) {
    for (const name of segment === '*' ? ['*'] : [segment, '*']) {
      const below = node.below.get(name)
      if (below?.ends) return 'ignored'
      if (below) next.push(below)
    }
  }
  return next.length > 0 ? next : undefined
}

function segmentsOf(path: string): string[] {
  const dotted = path
    .replace(/^\$\.?/, '')
    .replace(/\[(\*|\d+)\]/g, '.$1')
    .replace(/^\./, '')
  const segments = dotted.split('.')
  if (segments.some((segment) => segment === '' || /[[\]'"]/.test(segment))) {
    throw new IdempotencyError(
      'config_invalid',
      `The ignored JSON path ${JSON.stringify(path)} cannot be read. Write names joined by dots, with * for every item: messages.*.id`,
    )
  }
  return segments
}
