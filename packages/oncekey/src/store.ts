/** `oncekey/store`: the port and its types, for authors of stores. */

export { IdempotencyError, unreadable } from './core/errors.ts'
export type { RecordId } from './core/key.ts'
export type { KeylessAnswer, KeylessCommand, KeylessEntry } from './core/keyless.ts'
export { keylessStep, unexpired } from './core/keyless.ts'
export type { AttemptId, IdempotencyRecord, OnAbandoned, OutcomeKind, RecordState } from './core/record.ts'
export type { Reduction, StoreTime, SweepStep } from './core/reducer.ts'
export * as reducer from './core/reducer.ts'
export type * from './core/store.ts'
export { inlineBodyBytes } from './core/store.ts'
