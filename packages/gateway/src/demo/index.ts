/** `oncekey demo`: a bad day in one terminal, without and with Oncekey, and the two bills. */
import { UsageError } from '../config/index.ts'
import { dollars, type Paid, plus } from './bill.ts'
import { Client } from './client.ts'
import { joinedStream } from './joined-stream.ts'
import { killedAfter, killedDuring } from './killed-gateway.ts'
import { lostAnswers } from './lost-answers.ts'
import { check, type Outcome, type Show } from './scene.ts'
import { Screen } from './screen.ts'
import { Stage } from './stage.ts'

const usage = `Usage: oncekey demo

Shows in a quarter of a minute what Oncekey is for: a client that retries (the
OpenAI SDK), a network that loses answers, a provider that bills each call, and a
gateway that is killed; without Oncekey, then with it.

Needs no network, no account and no Docker: the provider is a pretend one on this
machine. Checks itself: exit code 1 if anything does not come out as it should.
NO_COLOR=1 leaves out the colours.`

const introduction = [
  'A client asks over a network that loses answers, and retries, as SDKs do: first',
  'without Oncekey, then with it. Only the base URL differs. The client is the real',
  'OpenAI SDK; the provider is a pretend one on this machine, its prices invented.',
]

/** All scenes together take a quarter of this on a slow laptop. */
const withinMs = 55_000

const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** Runs the demo; resolves to 0. Throws a sentence when something did not come out as it should. */
export async function runDemo(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`${usage}\n`)
    return 0
  }
  if (args.length > 0) throw new UsageError(`oncekey demo takes no "${args[0]}". It has no flags but --help.`)
  const stage = await Stage.open(env)
  // Whatever ends this process takes the children and the directory with it.
  const drop = (): void => stage.drop()
  process.once('exit', drop)
  for (const [signal, code] of Object.entries(signals)) process.once(signal, () => process.exit(code))
  process.stdout.on('error', () => process.exit(1))
  try {
    const show = { stage, client: await Client.load(), screen: new Screen(process.stdout, env) }
    await Promise.race([play(show), late()])
  } finally {
    await stage.close()
  }
  return 0
}

async function play(show: Show): Promise<void> {
  const { screen, stage } = show
  const startedMs = performance.now()
  await stage.build()
  screen.line(screen.in('bold', 'oncekey demo: what does a lost answer cost?'))
  screen.line()
  for (const line of introduction) screen.line(line)
  screen.line()
  const outcomes = [
    await lostAnswers(show),
    await joinedStream(show),
    await killedAfter(show),
    await killedDuring(show),
  ]
  bill(show, outcomes)
  await counted(show)
  const version = stage.provider.calls[0]?.headers['x-stainless-package-version']
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
  screen.line(screen.in('dim', `openai ${version}, Node ${process.versions.node}, ${seconds} s.`))
  screen.line('Your turn: npx oncekey gateway --upstream https://api.openai.com')
}

function bill({ screen, stage }: Show, outcomes: readonly Outcome[]): void {
  const nothing: Paid = { calls: 0, usd: 0 }
  const without = outcomes.reduce((sum, { without }) => plus(sum, without), nothing)
  const guarded = outcomes.reduce((sum, { guarded }) => plus(sum, guarded), nothing)
  const all = plus(without, guarded)
  check(
    all.calls === stage.provider.calls.length && all.usd === stage.provider.billUsd(),
    `the provider billed ${stage.provider.calls.length} calls, ${dollars(stage.provider.billUsd())}, not ${all.calls}, ${dollars(all.usd)}`,
  )
  check(guarded.usd < without.usd, 'the bill with Oncekey is not the lower one')
  const cell = ({ calls, usd }: Paid): string => `${calls} ${calls === 1 ? 'call ' : 'calls'}  ${dollars(usd)}`
  const row = (name: string, left: string, right: string): string =>
    `   ${name.padEnd(34)}${screen.in('red', left.padEnd(20))}${screen.in('green', right)}`
  screen.line(screen.in('bold', "The bill, by the provider's own ledger"))
  screen.line(row('', 'without Oncekey', 'with Oncekey'))
  for (const { misfortune, without, guarded } of outcomes) screen.line(row(misfortune, cell(without), cell(guarded)))
  screen.line(row('total', cell(without), cell(guarded)))
  screen.line()
  const asked = outcomes.length
  screen.line(`${asked} questions: ${without.calls} paid calls without Oncekey, ${guarded.calls} with it, one each.`)
  screen.line()
}

/** The gateway's own count, which has to be the provider's. */
async function counted({ screen, stage }: Show): Promise<void> {
  const printed = (await stage.ledger()).trim().split('\n')
  screen.line(screen.in('bold', 'What the gateway counted itself: oncekey ledger'))
  for (const line of printed) screen.line(`   ${line}`.trimEnd())
  screen.line()
}

function late(): Promise<never> {
  return new Promise((_, reject) => {
    const sentence = `The demo did not come to its end within ${withinMs / 1000} s. Is this machine very busy?`
    setTimeout(() => reject(new Error(sentence)), withinMs).unref()
  })
}
