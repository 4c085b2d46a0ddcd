/** The gateway's server: requests in, answers out. */
export { Gateway } from './gateway.ts'
export type { GatewayRoute, Match, RouteRule, UpstreamRoutes } from './routing.ts'
export { Routes } from './routing.ts'
