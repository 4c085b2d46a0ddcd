/** The operators' view of a store: its records, what may be changed about them, and what its setup is worth. */
export type { Change, Changed, Found, Operator } from './change.ts'
export { auditLine, change, keyInUse, purge } from './change.ts'
export type { Diagnosis } from './doctor.ts'
export { diagnose, levels, pageOf } from './doctor.ts'
export { candidates } from './identify.ts'
export { outcomeFrom } from './outcome.ts'
export { lineOf, linesOf, listHeading, recordStates, viewOf } from './view.ts'
