/** Which upstream and which route a request belongs to. */
import type { RouteOptions } from 'oncekey/http'

/** What holds for a request: the contract's options, and those that only a proxy has. */
export interface GatewayRoute extends RouteOptions {
  /** For the upstream's head, and between two of its bytes. */
  readonly upstreamTimeoutMs: number
}

/** What a rule matches. */
export interface Rule {
  /** `*` matches any rest, slashes included. */
  readonly path: string
  readonly methods: readonly string[] | undefined
}

/** A rule of the configuration. */
export interface RouteRule extends Rule {
  readonly upstream: string | undefined
}

/** What holds for the requests of one upstream. Of each list the first match counts. */
export interface UpstreamRoutes {
  /** Of the configuration: their paths are as callers send them, without the upstream's name in front. */
  readonly own: readonly Rule[]
  /** Of the kind of API: their paths are as the upstream sees them. */
  readonly preset: readonly Rule[]
  /** The options under a rule of each list, both or neither. */
  optionsOf(own: Rule | undefined, preset: Rule | undefined): GatewayRoute
}

/** A request as rules see it. */
export interface Asked {
  readonly method: string
  /** Without the upstream's name in front. */
  readonly path: string
  /** With the path of the upstream's URL in front. */
  readonly sentPath: string
}

/** What a request falls under. */
export interface Match {
  readonly own: Rule | undefined
  readonly preset: Rule | undefined
  readonly options: GatewayRoute
}

/** The compiled rules of one upstream. */
export class Routes {
  readonly #own: readonly Matcher[]
  readonly #preset: readonly Matcher[]
  readonly #optionsOf: UpstreamRoutes['optionsOf']
  /** Each pair of rules has its options made once. */
  readonly #matches = new Map<Rule | undefined, Map<Rule | undefined, Match>>()

  constructor({ own, preset, optionsOf }: UpstreamRoutes) {
    this.#own = own.map(matcherOf)
    this.#preset = preset.map(matcherOf)
    this.#optionsOf = optionsOf
  }

  match({ method, path, sentPath }: Asked): Match {
    const own = firstOf(this.#own, method, path)
    // A slash at the end names the same to every server that answers at all.
    const preset = firstOf(this.#preset, method, sentPath.endsWith('/') ? sentPath.replace(/\/+$/, '') : sentPath)
    const known = this.#matches.get(own)?.get(preset)
    if (known !== undefined) return known
    const match = { own, preset, options: this.#optionsOf(own, preset) }
    this.#matches.set(own, new Map([...(this.#matches.get(own) ?? []), [preset, match]]))
    return match
  }
}

interface Matcher {
  readonly rule: Rule
  matches(path: string): boolean
}

function firstOf(matchers: readonly Matcher[], method: string, path: string): Rule | undefined {
  return matchers.find(({ rule, matches }) => (rule.methods?.includes(method) ?? true) && matches(path))?.rule
}

/** Without a regular expression: with several stars its time would grow with the square of a path's length. */
function matcherOf(rule: Rule): Matcher {
  const [first = '', ...parts] = rule.path.split('*')
  const last = parts.pop()
  if (last === undefined) return { rule, matches: (path) => path === first }
  const matches = (path: string): boolean => {
    if (!path.startsWith(first) || !path.endsWith(last)) return false
    let at = first.length
    for (const part of parts) {
      const found = path.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return path.length - last.length >= at
  }
  return { rule, matches }
}

/** A request target taken apart; the query without its question mark. */
export interface Target {
  readonly path: string
  readonly query: string
}

/** Splits an origin-form target; undefined for any other form (RFC 9112 §3.2). */
export function targetOf(url: string): Target | undefined {
  if (!url.startsWith('/')) return undefined
  const mark = url.indexOf('?')
  return mark < 0 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) }
}

/** The first segment of a path, and the rest with its slash. */
export function firstSegment(path: string): { readonly name: string; readonly rest: string } {
  const slash = path.indexOf('/', 1)
  return slash < 0 ? { name: path.slice(1), rest: '/' } : { name: path.slice(1, slash), rest: path.slice(slash) }
}
