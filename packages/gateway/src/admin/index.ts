/** The admin side: health, metrics and the records API, on a port of their own. */
export { aggregated, Metrics } from './metrics.ts'
export { AdminServer } from './server.ts'
