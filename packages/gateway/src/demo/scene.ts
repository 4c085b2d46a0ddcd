/** What all scenes share: one question that goes two ways, and the lines that tell what happens to it. */
import { dollars, inWords, type Paid } from './bill.ts'
import type { Call, Client, Reply } from './client.ts'
import type { FlakyNetwork } from './network.ts'
import type { Screen } from './screen.ts'
import type { Stage } from './stage.ts'

/** Who plays. */
export interface Show {
  readonly stage: Stage
  readonly client: Client
  readonly screen: Screen
}

/** What one misfortune cost, both ways. */
export interface Outcome {
  readonly misfortune: string
  readonly without: Paid
  readonly guarded: Paid
}

/** The same call, key and all, by two base URLs. */
export interface Ways {
  readonly without: Way
  readonly guarded: Way
}

/** A call and the network it goes through. */
export interface Way {
  readonly network: FlakyNetwork
  readonly call: Call
}

/** `name` makes the key and the markers in the ledger; `sandbox` says how the provider behaves. */
export function twoWays({ stage }: Show, name: string, ask: string, sandbox: string): Ways {
  const way = (side: string, network: FlakyNetwork): Way => ({
    network,
    call: { to: network, ask, sandbox, key: `demo-${name}`, marker: `${side}-${name}` },
  })
  return { without: way('without', stage.direct), guarded: way('guarded', stage.guarded) }
}

/** All answers have as many words, so that they cost the same. */
export const words = 25

const labelWidth = 12

/** One line of a scene. */
export function tell({ screen }: Show, label: string, text: string): void {
  screen.line(`   ${label.padEnd(labelWidth)}${text}`)
}

/** The last lines of a scene. */
export function conclude({ screen }: Show, ...lines: readonly string[]): void {
  for (const line of lines) screen.line(`   ${line}`)
  screen.line()
}

/** The first line of a scene. */
export function title({ screen }: Show, number: number, text: string): void {
  screen.line(screen.in('bold', `${number}. ${text}`))
}

/** From now on each attempt of this call is told in a line: what it cost, and what became of it. */
export function tellAttempts(show: Show, { network, call }: Way): void {
  const { stage, screen } = show
  let number = 0
  let before = stage.paid(call.marker)
  network.onAttempt = ({ ended, status, how }) => {
    number += 1
    const now = stage.paid(call.marker)
    const isBilled = now.calls > before.calls
    const cost = isBilled ? `provider bills ${dollars(now.usd - before.usd)}` : 'no call, nothing billed'
    before = now
    const said = how === undefined ? cost : `${how}: ${cost}`
    const end = {
      delivered: status === 200 ? 'answer delivered' : `the client is told: ${status}`,
      lost: 'answer lost on its way back',
      broken: 'connection breaks, no answer',
    }[ended]
    const width = network === stage.guarded ? 36 : 24
    tell(show, `attempt ${number}`, `${screen.in(isBilled ? 'red' : 'green', said.padEnd(width))}${end}`)
  }
}

/** The answer in a few words; its number is the paid call it comes from. */
export function brief({ text }: Reply): string {
  return `"${withoutId(text).split(' ').slice(0, 6).join(' ')} ..."`
}

/** The pretend provider says an id in each answer, which is nothing to read. */
export function withoutId(text: string): string {
  return text.replace(/ \(\w+\):/, ':')
}

/** `1 paid call, $0.011. Without Oncekey: 2 paid calls, $0.022.` */
export function compare({ screen }: Show, { without, guarded }: Outcome): string {
  return `${screen.in('green', inWords(guarded))}. Without Oncekey: ${screen.in('red', inWords(without))}.`
}

/** Takes both bills out of the ledger, and compares the calls with what was to be shown. */
export function outcome({ stage }: Show, misfortune: string, ways: Ways, withoutCalls: number): Outcome {
  const without = stage.paid(ways.without.call.marker)
  const guarded = stage.paid(ways.guarded.call.marker)
  check(
    without.calls === withoutCalls,
    `"${misfortune}" came to ${inWords(without)} without Oncekey, not ${withoutCalls}`,
  )
  check(guarded.calls === 1, `"${misfortune}" came to ${inWords(guarded)} with Oncekey, not 1`)
  return { misfortune, without, guarded }
}

/** The demo shows nothing that did not happen. */
export function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(`The demo did not come out as it should: ${otherwise}.`)
}
