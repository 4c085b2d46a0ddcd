/** `oncekey ledger`: what was spent and saved. */
import { UsageError } from '../config/index.ts'
import { type Dimension, dimensions, pageOf, saved, summarise } from '../ledger/index.ts'
import { commandSpecs, type Flags, helpOf, readFlags } from './flags.ts'
import { print, withStore } from './operating.ts'

/** Runs it. */
export async function runLedger(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const flags = readFlags(commandSpecs.ledger, args, env)
  if (flags === undefined) {
    print(helpOf(commandSpecs.ledger))
    return 0
  }
  const by = dimensionsOf(flags)
  const since = dayOf(flags, 'since')
  const until = dayOf(flags, 'until')
  const tenant = flags.text('tenant')
  const question = {
    by,
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(tenant === undefined ? {} : { tenant }),
  }
  const { lines, total } = await withStore(flags, (store) => summarise(store, question))
  if (!flags.on('json')) print(pageOf(by, lines, total))
  else {
    for (const { of, counts } of lines)
      print(JSON.stringify({ ...of, ...counts, savedNanodollars: saved(counts).nanodollars }))
    print(JSON.stringify({ total: true, ...total, savedNanodollars: saved(total).nanodollars }))
  }
  return 0
}

function dimensionsOf(flags: Flags): readonly Dimension[] {
  const named = (flags.text('by') ?? 'model').split(',').map((name) => name.trim())
  const unknown = named.find((name) => !dimensions.some((dimension) => dimension === name))
  if (unknown !== undefined)
    throw new UsageError(`--by has "${unknown}", by which nothing is told apart. Known: ${dimensions.join(', ')}.`)
  return named as Dimension[]
}

function dayOf(flags: Flags, name: 'since' | 'until'): string | undefined {
  const day = flags.text(name)
  if (day === undefined || (/^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day)))) return day
  throw new UsageError(`--${name} is "${day}" and must be a day such as 2026-11-24.`)
}
