/** The gateway's configuration: options, files, and what they must be. */
export { readEncryption } from './encryption.ts'
export type { GatewayConfig } from './load.ts'
export { loadGatewayConfig, readPepper } from './load.ts'
export { gatewayOptions, variable } from './options.ts'
export { UsageError } from './usage.ts'
export { choice, integer, redacted } from './values.ts'
