/** Front door of the ledger: what executions used and cost, and what replays spared. */
export { type OwnPrice, Prices } from './price.ts'
