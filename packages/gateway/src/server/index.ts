/** The gateway's server: requests in, answers out. */
export { Gateway } from './gateway.ts'
export type { GatewayRoute, RouteRule, UpstreamRoutes } from './routing.ts'
export { optionsFor, Routes, upstreamOf } from './routing.ts'
