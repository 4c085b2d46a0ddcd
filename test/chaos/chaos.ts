/** Two gateways on one store, callers that never give up, and troubles at random moments until there were enough. */
import { setTimeout as sleep } from 'node:timers/promises'
import { freshKey, type Gateway, paid, type Stage } from '../e2e/harness.ts'
import { type Ask, type Heard, insist, open } from '../process/wire.ts'
import { seeded } from '../simulation/simulator.ts'

/** Something that can happen to a store. Resolves when it is over. */
export interface Trouble {
  readonly name: string
  strike(chance: () => number): Promise<void>
}

/** A store that gateways reach by its URL, and what can happen to it. */
export interface ChaosStore {
  readonly url: string
  readonly troubles: readonly Trouble[]
}

/** How a run goes. */
export interface ChaosOptions {
  readonly policy: 'unknown' | 'reexecute'
  readonly seed: number
  /** At least so many troubles, and at least for so long. */
  readonly troubles: number
  readonly minutes: number
}

/** What all the troubles have led to. */
export interface Aftermath {
  /** The last answer of each key, when all is well again. */
  readonly ends: readonly { readonly key: string; readonly heard: Heard }[]
  /** All different whole answers of each key that were recorded as far as their callers know. */
  readonly whole: ReadonlyMap<string, ReadonlySet<string>>
  /** Answers that broke off, and whole answers of a key that had one before. */
  readonly cut: number
  readonly repeated: number
  /** How often each trouble came. */
  readonly struck: Readonly<Record<string, number>>
  /** Calls of a key that the provider has charged for. */
  paid(key: string): number
}

/** Shorter than a pause of a gateway, so that leases run out. */
const lease = { flags: ['--lease', '1s', '--skew', '200ms'], pausedMs: 1_600 } as const
const callers = 6
/** A key is asked for again while it is one of the newest so many. */
const remembered = 40

/** Makes chaos; repeat a run with its seed. */
export async function chaos(stage: Stage, store: ChaosStore, options: ChaosOptions): Promise<Aftermath> {
  const run = new Chaos(stage, store, options)
  return run.play()
}

class Chaos {
  readonly #stage: Stage
  readonly #store: ChaosStore
  readonly #options: ChaosOptions
  readonly #chance: () => number
  readonly #gateways: Gateway[] = []
  readonly #asks = new Map<string, Ask>()
  readonly #whole = new Map<string, Set<string>>()
  readonly #struck: Record<string, number> = {}
  #cut = 0
  #repeated = 0
  #over = false

  constructor(stage: Stage, store: ChaosStore, options: ChaosOptions) {
    this.#stage = stage
    this.#store = store
    this.#options = options
    this.#chance = seeded(options.seed)
  }

  async play(): Promise<Aftermath> {
    const sandbox = await this.#stage.sandbox()
    for (let slot = 0; slot < 2; slot++) this.#gateways[slot] = await this.#start(sandbox.url)
    const calling = Promise.all(Array.from({ length: callers }, () => this.#call()))
    await this.#troubles(sandbox.url)
    this.#over = true
    await calling
    const ends = await this.#settle()
    for (const gateway of this.#gateways) await gateway.end('SIGKILL')
    return {
      ends,
      whole: this.#whole,
      cut: this.#cut,
      repeated: this.#repeated,
      struck: this.#struck,
      paid: (key) => paid(sandbox, key),
    }
  }

  #start(upstream: string): Promise<Gateway> {
    const flags = ['--on-abandoned', this.#options.policy, ...lease.flags]
    return this.#stage.gateway({ upstream, store: this.#store.url, flags })
  }

  async #troubles(upstream: string): Promise<void> {
    const ours: readonly Trouble[] = [
      { name: 'a gateway is killed', strike: () => this.#kill([this.#below(2)], upstream) },
      { name: 'a gateway is killed', strike: () => this.#kill([this.#below(2)], upstream) },
      { name: 'both gateways are killed', strike: () => this.#kill([0, 1], upstream) },
      { name: 'a gateway stands still past its lease', strike: () => this.#freeze(this.#below(2)) },
    ]
    const kinds = [...ours, ...this.#store.troubles]
    const endMs = performance.now() + this.#options.minutes * 60_000
    for (let count = 0; count < this.#options.troubles || performance.now() < endMs; count++) {
      const kind = kinds[count % kinds.length] as Trouble
      await sleep(50 + this.#below(250))
      await kind.strike(this.#chance)
      this.#struck[kind.name] = (this.#struck[kind.name] ?? 0) + 1
    }
  }

  async #kill(slots: readonly number[], upstream: string): Promise<void> {
    await Promise.all(slots.map((slot) => this.#gateways[slot]?.end('SIGKILL')))
    const fresh = await Promise.all(slots.map(() => this.#start(upstream)))
    for (const [at, slot] of slots.entries()) this.#gateways[slot] = fresh[at] as Gateway
  }

  async #freeze(slot: number): Promise<void> {
    const { child } = this.#gateways[slot] as Gateway
    child.kill('SIGSTOP')
    await sleep(lease.pausedMs)
    child.kill('SIGCONT')
  }

  /** One caller: old requests and new ones, one after another, until the end. */
  async #call(): Promise<void> {
    while (!this.#over) {
      const known = [...this.#asks.values()].slice(-remembered)
      const again = known.length > 0 && this.#chance() < 0.5 ? known[this.#below(known.length)] : undefined
      const ask = again ?? this.#fresh()
      const gateway = this.#gateways[this.#below(2)] as Gateway
      const call = open(gateway, ask)
      // Some callers hang up themselves; and nobody waits for a gateway that stands still.
      const patienceMs = this.#chance() < 0.15 ? this.#below(200) : 3_000
      const timer = setTimeout(() => call.hangUp(), patienceMs)
      this.#note(ask, await call.heard)
      clearTimeout(timer)
      await sleep(this.#below(30))
    }
  }

  #fresh(): Ask {
    const stream = this.#chance() < 0.5
    const behave = stream ? `events=${2 + this.#below(20)}, gap=${this.#below(40)}` : `delay=${this.#below(500)}`
    const ask = { key: freshKey(), stream, behave }
    this.#asks.set(ask.key, ask)
    return ask
  }

  #note(ask: Ask, heard: Heard): void {
    if (!heard.whole) this.#cut += 1
    // An answer that the store could not take says so: a retry need not find it.
    if (heard.status !== 200 || !heard.whole || heard.headers['idempotency-recorded'] === '?0') return
    const key = ask.key ?? ''
    const known = this.#whole.get(key)
    if (known === undefined) this.#whole.set(key, new Set([heard.text]))
    else {
      this.#repeated += 1
      known.add(heard.text)
    }
  }

  /** All is well again: every key is asked for until it has an end. */
  async #settle(): Promise<{ key: string; heard: Heard }[]> {
    const ends: { key: string; heard: Heard }[] = []
    const waiting = [...this.#asks.values()]
    const one = async (): Promise<void> => {
      for (let ask = waiting.pop(); ask !== undefined; ask = waiting.pop()) {
        const gateway = this.#gateways[ends.length % 2] as Gateway
        const heard = await insist(gateway, { ...ask, behave: 'delay=1' }, 20_000)
        this.#note(ask, heard)
        ends.push({ key: ask.key ?? '', heard })
      }
    }
    await Promise.all(Array.from({ length: 8 }, one))
    return ends
  }

  #below(bound: number): number {
    return Math.floor(this.#chance() * bound)
  }
}
