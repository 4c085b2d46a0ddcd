/** `oncekey migrate`: creates or upgrades the PostgreSQL schema. */
import { redacted, UsageError } from '../config/index.ts'
import { commandSpecs, helpOf, readFlags } from './flags.ts'
import { print } from './operating.ts'

/** Only PostgreSQL has anything to migrate; the others make what they need. */
export async function runMigrate(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const flags = readFlags(commandSpecs.migrate, args, env)
  if (flags === undefined) {
    print(helpOf(commandSpecs.migrate))
    return 0
  }
  if (!/^postgres(?:ql)?:\/\//.test(flags.store)) {
    throw new UsageError(`The store ${redacted(flags.store)} has nothing to migrate: only postgres:// has.`)
  }
  const { migratePostgres } = await import('./postgres.ts')
  const schema = await migratePostgres(flags.store, flags.text('schema'))
  print(`The schema ${schema} of ${redacted(flags.store)} is up to date.`)
  return 0
}
