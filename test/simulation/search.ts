/** Breadth-first search over every interleaving of a small world, shortest counterexample first. */
import { alwaysEnds, type Rules, type Setting, start, steps, Violation, type World } from './world.ts'

/** What a search found. */
export interface SearchResult {
  readonly states: number
  /** Every reachable state was seen. */
  readonly complete: boolean
  readonly depth: number
  readonly violation: { readonly message: string; readonly trace: readonly string[] } | undefined
}

interface Visited {
  readonly world: World
  readonly step: string
  readonly from: Visited | undefined
}

/** Searches until nothing is new, `most` states were seen, or an invariant broke. */
export function search(rules: Rules, setting: Setting, most: number): SearchResult {
  const seen = new Set<string>([keyOf(start)])
  let level: Visited[] = [{ world: start, step: 'start', from: undefined }]
  for (let depth = 0; ; depth++) {
    const next: Visited[] = []
    for (const visited of level) {
      try {
        alwaysEnds(visited.world, rules)
        for (const [step, world] of steps(visited.world, rules, setting)) {
          const key = keyOf(world)
          if (seen.has(key)) continue
          seen.add(key)
          next.push({ world, step, from: visited })
        }
      } catch (error) {
        if (!(error instanceof Violation)) throw error
        return {
          states: seen.size,
          complete: false,
          depth,
          violation: { message: error.message, trace: traceOf(visited) },
        }
      }
    }
    if (next.length === 0 || seen.size >= most)
      return { states: seen.size, complete: next.length === 0, depth, violation: undefined }
    level = next
  }
}

/** A number for every value that was ever seen: a world in 30 characters and not in 150 is found in half of the time. */
const codes = new Map<unknown, number>()

function codeOf(value: unknown): number {
  const known = codes.get(value)
  if (known !== undefined) return known
  const code = codes.size
  if (code > 0xffff) throw new Error('more values than characters: two worlds could be taken for one')
  codes.set(value, code)
  return code
}

/** The two owners are alike: worlds that differ by which is which are one. */
function keyOf(world: World): string {
  const { record, ghost, left } = world
  const [first = '', second = '', waiter = ''] = world.actors.map(({ phase, attempt, appended }) =>
    String.fromCharCode(codeOf(phase), codeOf(attempt), codeOf(appended)),
  )
  const key: number[] = []
  key.push(codeOf(world.wallMs), codeOf(world.leaseMs), codeOf(world.fenceFloor))
  for (const name in ghost) key.push(codeOf(ghost[name as keyof typeof ghost]))
  for (const name in left) key.push(codeOf(left[name as keyof typeof left]))
  if (record !== undefined)
    for (const name in record) if (name !== 'head') key.push(codeOf(record[name as keyof typeof record]))
  return (first < second ? first + second : second + first) + waiter + String.fromCharCode(...key)
}

function traceOf(visited: Visited): string[] {
  const trace: string[] = []
  for (let at: Visited | undefined = visited; at !== undefined; at = at.from) trace.unshift(at.step)
  return trace
}
