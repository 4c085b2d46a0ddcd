/** One line of the ledger: what a day's requests of one tenant, upstream, route and model came to. */

/** What a line is of. */
export interface RowKey {
  /** UTC: `2026-11-24`. */
  readonly day: string
  /** A name that a proxy or an application gave, or the begin of a credential's digest. */
  readonly tenant: string
  /** The upstream's name; '' is the one without. */
  readonly upstream: string
  readonly route: string
  /** '' where nobody named one. */
  readonly model: string
}

/** How a request was spared its execution. `drained`: by an execution that went on for nobody. */
export type Spared = 'replayed' | 'joined' | 'drained' | 'resumed'

/** What is counted; whole numbers. Money is in billionths of a US dollar. */
export type Counter =
  /** Executions that ended with an outcome, or that may have run. */
  | 'executed'
  /** Of those, the ones of which nobody knows what they used: no usage in the answer, or no whole answer. */
  | 'unmetered'
  /** Of those whose usage is known, the ones that have no price. */
  | 'unpriced'
  /** Of those, answers of 400 and above without usage: the provider refused the request itself. */
  | 'refused'
  /** Calls that the provider did not run, such as a 429. */
  | 'notExecuted'
  /** Executions that died with their process and were taken over: they may have been paid. */
  | 'lost'
  | 'inputTokens'
  | 'outputTokens'
  | 'cacheReadTokens'
  | 'cacheWriteTokens'
  | 'nanodollars'
  | Spared
  | `${Spared}Nanodollars`
  /** Spared requests of whose execution no price is known. */
  | `${Spared}Unpriced`

/** Counters by name; one that is absent is 0. */
export type Counts = Partial<Record<Counter, number>>

/** The row as a tally's name: what is in front sorts by day. */
export function nameOf({ day, tenant, upstream, route, model }: RowKey): string {
  return JSON.stringify([day, tenant, upstream, route, model])
}

/** The reverse; undefined for a tally of something else. */
export function keyOf(name: string): RowKey | undefined {
  if (!name.startsWith('["')) return undefined
  try {
    const parts = JSON.parse(name) as unknown[]
    if (parts.length !== 5 || !parts.every((part) => typeof part === 'string')) return undefined
    const [day, tenant, upstream, route, model] = parts as [string, string, string, string, string]
    return { day, tenant, upstream, route, model }
  } catch {
    return undefined
  }
}

/** Adds to counters. */
export function add(counts: Counts, more: Counts): void {
  for (const [counter, count] of Object.entries(more)) {
    if (count !== 0) counts[counter as Counter] = (counts[counter as Counter] ?? 0) + count
  }
}

/** Longest part of a row's name that a request may bring, so that a tally's name stays short. */
const partLength = 96

/** A model, tenant or route as a row names it: bounded, since requests bring them. */
export function bounded(part: string): string {
  return part.length <= partLength ? part : `${part.slice(0, partLength - 1)}…`
}

/** How many routes and tenants are remembered: they come again and again. */
const remembered = 1_000

/** A function of a text, from memory where it can. */
function memo(of: (text: string) => string): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    if (known.size >= remembered) known.clear()
    const made = of(text)
    known.set(text, made)
    return made
  }
}

/**
 * A path without what is new in every request, so that a day has a bounded number of rows: segments with a digit become
 * `*`, but for versions, and what is behind a colon (Gemini's verbs) stays.
 */
export function routeOf(method: string, path: string): string {
  return `${method} ${bareRoute(path)}`
}

const bareRoute = memo((path) => {
  const segments = path.split('/').map((segment) => {
    const colon = segment.lastIndexOf(':')
    const [name, verb] = colon < 0 ? [segment, ''] : [segment.slice(0, colon), segment.slice(colon)]
    const varies = (/\d/.test(name) && !/^v\d+(?:alpha|beta)?\d*$/.test(name)) || name.length > 40
    return `${varies ? '*' : name}${verb}`
  })
  return bounded(segments.join('/'))
})

/** Who asks, as a row names him: a name as it is, a credential by the begin of its keyed digest. */
export const tenantLabel: (tenant: string) => string = memo((tenant) => {
  const colon = tenant.indexOf(':')
  const [kind, name] = [tenant.slice(0, colon), tenant.slice(colon + 1)]
  if (kind === 'given') return bounded(name)
  return kind === 'credential' ? `credential ${name.slice(0, 12)}` : 'anonymous'
})
