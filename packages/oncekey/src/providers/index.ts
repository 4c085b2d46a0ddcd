/** Front door of what AI APIs mean: which stream is whole, where it ends, where it resumes, what was used. */
export { usageOf } from './opaque.ts'
export type { StreamEnd, StreamFormat, StreamScanner } from './provider.ts'
export { type Found, type Get, type Reconciler, reconcilerFor } from './reconcile.ts'
export { offsetAfterEvent } from './resume.ts'
export { type ScannedResponse, streamScanner } from './scanner.ts'
export type { Usage, UsageUnit } from './usage.ts'
