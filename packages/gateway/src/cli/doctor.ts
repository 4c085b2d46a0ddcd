/** `oncekey doctor`: what the setup of a store is worth. */
import { choice, redacted } from '../config/index.ts'
import { diagnose, levels, pageOf } from '../operate/index.ts'
import { commandSpecs, helpOf, readFlags } from './flags.ts'
import { print, withStore } from './operating.ts'

/** Prints the diagnosis. 1: the promise does not hold, or not at the level that is demanded. */
export async function runDoctor(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const flags = readFlags(commandSpecs.doctor, args, env)
  if (flags === undefined) {
    print(helpOf(commandSpecs.doctor))
    return 0
  }
  const level = choice(flags.text('level') ?? 'disk', '--level', levels)
  return withStore(flags, async (store) => {
    const diagnosis = await diagnose(store, level)
    print(flags.on('json') ? JSON.stringify(diagnosis) : pageOf(diagnosis, redacted(flags.store)))
    return diagnosis.holds ? 0 : 1
  })
}
