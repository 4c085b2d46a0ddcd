/** Which upstream and which route a request belongs to. */
import type { RouteOptions } from 'oncekey/http'

/** A rule of the configuration: what it matches, and the options that hold there. */
export interface RouteRule {
  /** `*` matches any rest, slashes included. */
  readonly path: string
  readonly methods: readonly string[] | undefined
  readonly upstream: string | undefined
  readonly options: RouteOptions
}

/** Compiled rules, first match wins. */
export class Routes {
  readonly #rules: readonly (RouteRule & { readonly pattern: RegExp })[]
  readonly #otherwise: RouteOptions

  constructor(rules: readonly RouteRule[], otherwise: RouteOptions) {
    this.#rules = rules.map((rule) => ({ ...rule, pattern: patternOf(rule.path) }))
    this.#otherwise = otherwise
  }

  /** `path` without the upstream's name in front. */
  find(upstream: string, method: string, path: string): RouteOptions {
    for (const rule of this.#rules) {
      if (rule.upstream !== undefined && rule.upstream !== upstream) continue
      if (rule.methods !== undefined && !rule.methods.includes(method)) continue
      if (rule.pattern.test(path)) return rule.options
    }
    return this.#otherwise
  }
}

function patternOf(path: string): RegExp {
  const parts = path.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's')
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
