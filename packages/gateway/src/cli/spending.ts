/** `oncekey ledger`: what was spent and saved. */
import { UsageError } from '../config/index.ts'
import { lineJson, pageOf, questionFrom, summarise, totalJson } from '../ledger/index.ts'
import { commandSpecs, type Flags, helpOf, readFlags } from './flags.ts'
import { print, withStore } from './operating.ts'

/** Runs it. */
export async function runLedger(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const flags = readFlags(commandSpecs.ledger, args, env)
  if (flags === undefined) {
    print(helpOf(commandSpecs.ledger))
    return 0
  }
  const question = asked(flags)
  const { lines, total } = await withStore(flags, (store) => summarise(store, question))
  if (!flags.on('json')) print(pageOf(question.by, lines, total))
  else {
    for (const line of lines) print(JSON.stringify(lineJson(line)))
    print(JSON.stringify(totalJson(total)))
  }
  return 0
}

function asked(flags: Flags): ReturnType<typeof questionFrom> {
  const [by, since, until, tenant] = ['by', 'since', 'until', 'tenant'].map((flag) => flags.text(flag))
  try {
    return questionFrom({ by, since, until, tenant })
  } catch (error) {
    throw new UsageError(`--${(error as Error).message}`)
  }
}
