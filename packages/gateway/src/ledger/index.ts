/** Front door of the ledger: what executions used and cost, and what replays spared. */
export type { RequestAccount } from './account.ts'
export { Ledger } from './ledger.ts'
export { pageOf } from './page.ts'
export { type OwnPrice, Prices } from './price.ts'
export { type Dimension, dimensions, saved, summarise } from './summary.ts'
