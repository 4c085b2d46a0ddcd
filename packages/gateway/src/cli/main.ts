/** `oncekey`: picks the command, and turns every failure into one sentence and an exit code. */
import { UsageError } from '../config/index.ts'
import { commands } from './commands.ts'
import { rootHelp, version } from './help.ts'

/** Runs a command. 0: a clean end; 2: a flag, variable, file or URL that cannot be right; 1: all else. */
export async function main(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name, ...rest] = args
  try {
    if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
      process.stdout.write(`${rootHelp(commands)}\n`)
      return name === undefined ? 2 : 0
    }
    if (name === 'version' || name === '--version' || name === '-v') {
      process.stdout.write(`${version()}\n`)
      return 0
    }
    // Own names only: every object has a `constructor`.
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (command === undefined) {
      throw new UsageError(`oncekey has no command "${name}". Commands: ${Object.keys(commands).join(', ')}.`)
    }
    return await command.run(rest, env)
  } catch (error) {
    const sentence = error instanceof Error ? error.message : String(error)
    process.stderr.write(`oncekey: ${sentence}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}
