/** Which upstream and which route a request belongs to. */
import type { RouteOptions } from 'oncekey/http'

/** What holds for a request: the contract's options, and those that only a proxy has. */
export interface GatewayRoute extends RouteOptions {
  /** For the upstream's head, and between two of its bytes. */
  readonly upstreamTimeoutMs: number
  /** Of an upload, which goes over the disk. */
  readonly maxUploadBytes: number
}

/** What a rule matches. */
export interface Rule {
  /** `*` matches any rest, slashes included. */
  readonly path: string
  readonly methods: readonly string[] | undefined
  /** Only requests whose JSON has this member, and `true` in it. */
  readonly asks?: string
}

/** A rule of the configuration. */
export interface RouteRule extends Rule {
  readonly upstream: string | undefined
}

/** What holds for the requests of one upstream. Of each list the first match counts. */
export interface UpstreamRoutes {
  /** The path of the upstream's URL, which is put in front of every request's. */
  readonly prefix: string
  /** Of the configuration: their paths are as callers send them, without the upstream's name in front. */
  readonly own: readonly Rule[]
  /** Of the kind of API: their paths are as the upstream sees them. */
  readonly preset: readonly Rule[]
  /** The options under a rule of each list, both or neither. */
  optionsOf(own: Rule | undefined, preset: Rule | undefined): GatewayRoute
}

/** The rules that a request falls under, and what they amount to. */
export interface Held {
  readonly own: Rule | undefined
  readonly preset: Rule | undefined
  readonly options: GatewayRoute
}

/** What a request falls under, as far as its head tells. */
export interface Match extends Held {
  /** What it falls under in place of it when its body has a `true` in this member. */
  readonly ifAsked?: Held & { readonly member: string }
}

/** The compiled rules of one upstream. */
export class Routes {
  readonly #prefix: string
  readonly #own: readonly Matcher[]
  readonly #preset: readonly Matcher[]
  /** Without the rules that ask for a body. */
  readonly #unasked: readonly Matcher[]
  readonly #optionsOf: UpstreamRoutes['optionsOf']
  /** Each pair of rules has its options made once. */
  readonly #held = new Map<Rule | undefined, Map<Rule | undefined, Held>>()

  constructor({ prefix, own, preset, optionsOf }: UpstreamRoutes) {
    this.#prefix = prefix
    this.#own = own.map(matcherOf)
    this.#preset = preset.map(matcherOf)
    this.#unasked = this.#preset.filter(({ rule }) => rule.asks === undefined)
    this.#optionsOf = optionsOf
  }

  /** `path` is without the upstream's name in front. */
  match(method: string, path: string): Match {
    const own = firstOf(this.#own, method, path)
    // A slash at the end names the same to every server that answers at all.
    const sent = this.#prefix + (path.endsWith('/') ? path.replace(/\/+$/, '') : path)
    const preset = firstOf(this.#preset, method, sent)
    if (preset?.asks === undefined) return this.#hold(own, preset)
    const ifAsked = { ...this.#hold(own, preset), member: preset.asks }
    return { ...this.#hold(own, firstOf(this.#unasked, method, sent)), ifAsked }
  }

  #hold(own: Rule | undefined, preset: Rule | undefined): Held {
    const known = this.#held.get(own)?.get(preset)
    if (known !== undefined) return known
    const held = { own, preset, options: this.#optionsOf(own, preset) }
    this.#held.set(own, new Map([...(this.#held.get(own) ?? []), [preset, held]]))
    return held
  }
}

/** The options of a request whose body is there: a `true` in one member of its JSON can make it another kind of work. */
export function optionsFor({ options, ifAsked }: Match, body: Buffer): GatewayRoute {
  return ifAsked !== undefined && hasTrue(body, ifAsked.member) ? ifAsked.options : options
}

/** Nearly all bodies are done with by a search for the member's name. */
function hasTrue(body: Buffer, member: string): boolean {
  if (!body.includes(`"${member}"`)) return false
  try {
    const json: unknown = JSON.parse(body.toString())
    return typeof json === 'object' && json !== null && (json as Readonly<Record<string, unknown>>)[member] === true
  } catch {
    return false
  }
}

interface Matcher {
  readonly rule: Rule
  matches(path: string): boolean
}

function firstOf(matchers: readonly Matcher[], method: string, path: string): Rule | undefined {
  return matchers.find(({ rule, matches }) => matches(path) && (rule.methods?.includes(method) ?? true))?.rule
}

/** Without a regular expression: with several stars its time would grow with the square of a path's length. */
function matcherOf(rule: Rule): Matcher {
  const [first = '', ...parts] = rule.path.split('*')
  const last = parts.pop()
  if (last === undefined) return { rule, matches: (path) => path === first }
  const matches = (path: string): boolean => {
    if (!path.endsWith(last) || !path.startsWith(first)) return false
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

/** The upstream that a path picks by its first segment, else the one without a name; and the path without that name. */
export function upstreamOf(
  upstreams: { has(name: string): boolean },
  path: string,
): { readonly name: string; readonly path: string } | undefined {
  const { name, rest } = firstSegment(path)
  if (name !== '' && upstreams.has(name)) return { name, path: rest }
  return upstreams.has('') ? { name: '', path } : undefined
}

/** The first segment of a path, and the rest with its slash. */
export function firstSegment(path: string): { readonly name: string; readonly rest: string } {
  const slash = path.indexOf('/', 1)
  return slash < 0 ? { name: path.slice(1), rest: '/' } : { name: path.slice(1, slash), rest: path.slice(slash) }
}
