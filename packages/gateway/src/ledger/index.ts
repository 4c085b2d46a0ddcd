/** Front door of the ledger: what executions used and cost, and what replays spared. */
export type { RequestAccount } from './account.ts'
export { Ledger } from './ledger.ts'
export { pageOf } from './page.ts'
export { type OwnPrice, Prices } from './price.ts'
export { lineJson, questionFrom, totalJson } from './question.ts'
export type { Counts, RowKey } from './row.ts'
export { routeOf } from './row.ts'
export { saved, summarise } from './summary.ts'
