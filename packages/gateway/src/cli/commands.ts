/** The commands that exist, no others. */
import { runDemo } from '../demo/index.ts'
import { runBatch } from './batch.ts'
import { runConfig } from './config.ts'
import { runDoctor } from './doctor.ts'
import { runGateway } from './gateway.ts'
import { runMigrate } from './migrate.ts'
import { runRecords } from './records.ts'
import { runLedger } from './spending.ts'

/** One command of `oncekey`. */
export interface Command {
  readonly summary: string
  run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number>
}

/** By name, in the order of the help. */
export const commands: Readonly<Record<string, Command>> = {
  gateway: { summary: 'stand before an AI API: every retry gets the one recorded answer', run: runGateway },
  batch: { summary: 'run a file of requests that may be run again and pays no line twice', run: runBatch },
  config: { summary: 'check a configuration file, or write one to begin with', run: runConfig },
  records: { summary: 'list, show, resolve, release and purge the records of a store', run: runRecords },
  ledger: { summary: 'say what was spent and what was saved', run: runLedger },
  doctor: { summary: 'say what the setup of a store is worth', run: runDoctor },
  migrate: { summary: 'create or upgrade the PostgreSQL schema', run: runMigrate },
  demo: { summary: 'see it work in under a minute, without a network or an account', run: runDemo },
}
