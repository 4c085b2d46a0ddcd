/** Where a request goes: which upstream, by what rules, on which path, and with which headers. */
import type { IncomingMessage } from 'node:http'
import { IdempotencyError } from 'oncekey/http'
import { type Upstream, upstreamHeaders } from '../forward/index.ts'
import type { HeldBody } from './body.ts'
import {
  firstSegment,
  type GatewayRoute,
  type Match,
  type Routes,
  type Target,
  targetOf,
  upstreamOf,
} from './routing.ts'
import { staysWithin } from './within.ts'

/** The only places a request can go to. */
export interface Destinations {
  /** By name; the unnamed one has the name ''. */
  readonly upstreams: ReadonlyMap<string, Upstream>
  /** By the name of the upstream. */
  readonly routes: ReadonlyMap<string, Routes>
}

/** One of them, picked. */
export interface Routed {
  /** '' is the one without a name. */
  readonly name: string
  readonly upstream: Upstream
  /** What the upstream is asked for: path and query, without its name in front. */
  readonly target: string
  /** Without its name in front. */
  readonly path: string
  readonly place: Target
  readonly match: Match
  /** As far as the head of the request tells. */
  readonly route: GatewayRoute
}

/** Picks it by the path alone. Throws `unknown_upstream`. */
export function routedOf({ upstreams, routes }: Destinations, request: IncomingMessage): Routed {
  const place = targetOf(request.url ?? '')
  if (place === undefined) {
    throw new IdempotencyError(
      'unknown_upstream',
      'The request target must be a path. Send requests to this gateway as to an ordinary server, not as to a proxy.',
    )
  }
  const picked = upstreamOf(upstreams, place.path)
  const upstream = picked && upstreams.get(picked.name)
  const rules = picked && routes.get(picked.name)
  if (picked === undefined || upstream === undefined || rules === undefined) {
    const known = [...upstreams.keys()].map((name) => `/${name}/`).join(', ')
    throw new IdempotencyError(
      'unknown_upstream',
      `No upstream has the name "${firstSegment(place.path).name}". Paths begin with one of: ${known}.`,
    )
  }
  const { name, path } = picked
  if (!staysWithin(path)) {
    const sentence = 'The path climbs out of its upstream by "..". Send the path that is meant, without dots.'
    throw new IdempotencyError('unknown_upstream', sentence)
  }
  const match = rules.match(request.method ?? '', path)
  return {
    name,
    path,
    upstream,
    target: place.query === '' && !request.url?.endsWith('?') ? path : `${path}?${place.query}`,
    place,
    match,
    route: match.options,
  }
}

/** What is sent on of a request's headers. `held`: undefined where the caller's body is passed on as it comes, null where there is none. */
export function headersFor(request: IncomingMessage, route: GatewayRoute, held: HeldBody | null | undefined): string[] {
  const { tenantHeader, keyAliases } = route
  const keepLength = held === undefined
  const headers = upstreamHeaders(request.rawHeaders, { keepKey: false, tenantHeader, keyAliases, keepLength })
  // A stream does not say how long it is.
  if (held?.streamed !== undefined) headers.push('Content-Length', String(held.streamed.length))
  return headers
}
