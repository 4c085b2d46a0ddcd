/** The commands that exist, no others. */
import { runDemo } from '../demo/index.ts'
import { runGateway } from './gateway.ts'

/** One command of `oncekey`. */
export interface Command {
  readonly summary: string
  run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number>
}

/** By name, in the order of the help. */
export const commands: Readonly<Record<string, Command>> = {
  gateway: { summary: 'stand before an AI API: every retry gets the one recorded answer', run: runGateway },
  demo: { summary: 'see it work in under a minute, without a network or an account', run: runDemo },
}
