/** The gateway's server: requests in, answers out. */
export { Gateway } from './gateway.ts'
export type { RouteRule } from './routing.ts'
export { Routes } from './routing.ts'
