/** Runs scripts on records: many at once in one write, by digest, in order where ids are equal, and acknowledged. */

import { failure, refusal } from './refusals.ts'
import type { Script } from './script.ts'
import type { Command, KeyedCommand, Reply, Sent, WaitFor, Wire } from './wire.ts'

/** A script's key and arguments. */
export interface Step {
  readonly key: string
  readonly args: readonly (string | Buffer)[]
  /** Tells those who have subscribed to the key that the script was run, whatever came of it. */
  readonly tells?: boolean
}

/** Most that is sent ahead of the answers, so that neither side's buffers grow without bound. */
const aheadBytes = 1024 * 1024
/** About what a command takes beside its arguments. */
const commandBytes = 150

/** A script, for a cluster runs it where the record is, behind what was written; a PUBLISH it would run anywhere. */
const tell = "return redis.call('PUBLISH', KEYS[1], '')"

/** The scripts of one store. */
export class Runner {
  readonly #wire: Wire
  readonly #wait: WaitFor | undefined

  constructor(wire: Wire, wait: WaitFor | undefined) {
    this.#wire = wire
    this.#wait = wait
  }

  /** One answer a step, in order. Rejects with the first refusal, once all are answered. */
  async run(script: Script, steps: readonly Step[], durable = false): Promise<readonly Reply[]> {
    const all: (readonly Reply[])[] = []
    for (const round of rounds(steps)) all.push(await this.#round(script, round, durable))
    const replies = all.length === 1 ? (all[0] ?? []) : all.flat(1)
    for (const reply of replies) if (reply instanceof Error) throw refusal(reply)
    return replies
  }

  /** Plain commands, each with its own answer; errors are values. */
  async plain(commands: readonly KeyedCommand[]): Promise<readonly Reply[]> {
    return (await this.#wire.send(commands)).replies
  }

  async #round(script: Script, steps: readonly Step[], durable: boolean): Promise<readonly Reply[]> {
    const replies = [...(await this.#send('EVALSHA', script.sha, steps, durable))]
    // A server that was restarted, failed over to, or told to forget its scripts. Each turn teaches one server at least.
    for (let lacking = withoutScript(replies); lacking.length > 0; lacking = withoutScript(replies)) {
      for (const [command, indices] of [
        ['EVAL', lacking.slice(0, 1)],
        ['EVALSHA', lacking.slice(1)],
      ] as const) {
        const again = indices.map((at) => steps[at] as Step)
        const named = command === 'EVAL' ? script.source : script.sha
        const answers = again.length === 0 ? [] : await this.#send(command, named, again, durable)
        for (const [index, at] of indices.entries()) replies[at] = answers[index]
      }
    }
    return replies
  }

  async #send(name: string, script: string, steps: readonly Step[], durable: boolean): Promise<readonly Reply[]> {
    const commands: KeyedCommand[] = steps.map(({ key, args }) => {
      return { key, command: commandOf(name, script, key, args) }
    })
    // Behind all scripts, in the same write. What Redis says of it is of no interest.
    for (const { key, tells } of steps) if (tells === true) commands.push({ key, command: ['EVAL', tell, '1', key] })
    const wait = durable ? this.#wait : undefined
    const sent = await this.#wire.send(commands, wait)
    const replies = sent.replies.slice(0, steps.length)
    // What lacked its script is sent again, and the WAIT behind that speaks of all that was written before.
    if (wait !== undefined && withoutScript(replies).length === 0) mustBeHeard(sent, wait)
    return replies
  }
}

function commandOf(name: string, script: string, key: string, args: Step['args']): Command {
  return [name, script, '2', key, chunksOf(key), ...args]
}

/** Where a body lies that is not in the record itself: the same slot, for the id is in braces. */
function chunksOf(key: string): string {
  return `${key}:c`
}

/** Pieces of bounded size in which no key comes twice: equal keys act in order, also where a cluster redirects. */
function* rounds(steps: readonly Step[]): Generator<readonly Step[]> {
  let keys = new Set<string>()
  let bytes = 0
  let from = 0
  for (const [at, { key, args }] of steps.entries()) {
    const more = args.reduce((sum, arg) => sum + arg.length, commandBytes)
    if (at > from && (keys.has(key) || bytes + more > aheadBytes)) {
      yield steps.slice(from, at)
      keys = new Set()
      bytes = 0
      from = at
    }
    keys.add(key)
    bytes += more
  }
  if (from < steps.length) yield from === 0 ? steps : steps.slice(from)
}

function withoutScript(replies: readonly Reply[]): number[] {
  return [...replies.keys()].filter((at) => {
    const reply = replies[at]
    return reply instanceof Error && reply.message.startsWith('NOSCRIPT')
  })
}

/** Fails closed: what too few replicas have heard of counts as not written, and is asked again under the same attempt. */
function mustBeHeard({ acknowledged }: Sent, wait: WaitFor): void {
  for (const count of acknowledged) {
    if (count instanceof Error) throw refusal(count)
    if (typeof count === 'number' && count >= wait.replicas) continue
    throw failure(
      `Only ${String(count)} of ${wait.replicas} replicas had a write within ${wait.waitMs} ms, so it is not acknowledged.`,
    )
  }
}
