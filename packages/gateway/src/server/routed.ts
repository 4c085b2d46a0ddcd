/** Where a request goes: which upstream, by what rules, and with which headers. */
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

/** What is behind a gateway. */
export interface Behind {
  /** By name; the unnamed one has the name ''. */
  readonly upstreams: ReadonlyMap<string, Upstream>
  /** By the name of the upstream. */
  readonly routes: ReadonlyMap<string, Routes>
}

/** A request that has found its upstream. */
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

/** Throws `unknown_upstream` for a target that is no path, or belongs to nobody. */
export function routedOf({ upstreams, routes }: Behind, request: IncomingMessage): Routed {
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
