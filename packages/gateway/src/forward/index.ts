/** Forwarding: upstreams, their pools, and what of a request goes on. */
export type { CircuitEvent } from './circuit.ts'
export { cutOff } from './cut.ts'
export { getBehind } from './get.ts'
export { upstreamHeaders } from './headers.ts'
export { passThrough } from './pass.ts'
export { codeOf } from './reason.ts'
export { upgrade } from './upgrade.ts'
export { Upstream } from './upstream.ts'
