/** A seed's story: three processes, two keys, an operator, every fault at once; and the judge, who knows every effect. */
import { sleep } from '../../packages/oncekey/src/core/clock.ts'
import { IdempotencyError } from '../../packages/oncekey/src/core/errors.ts'
import type { RecordId } from '../../packages/oncekey/src/core/key.ts'
import type { AttemptId, OnAbandoned } from '../../packages/oncekey/src/core/record.ts'
import type { Idempotency, RunResult } from '../../packages/oncekey/src/core/run.ts'
import type { RunningAttempt } from '../../packages/oncekey/src/core/running.ts'
import type { Store } from '../../packages/oncekey/src/core/store.ts'
import { createIdempotency } from '../../packages/oncekey/src/platform/idempotency.ts'
import { modelStore } from './model-store.ts'
import { SimulatedProcess, Simulator } from './simulator.ts'
import { watched } from './watch.ts'
import type { Rules } from './world.ts'

const policy = { leaseMs: 5_000, skewMs: 500, retentionMs: 60_000, waitMs: 20_000 } as const
/** How long there are faults, and then how long there are none. */
const phases = { faultyMs: 150_000, calmMs: 150_000 } as const
const pepper = new Uint8Array(32)

/** The policies of the three processes. */
const mixtures: readonly (readonly OnAbandoned[])[] = [
  ['unknown', 'unknown', 'unknown'],
  ['reexecute', 'reexecute', 'reexecute'],
  ['unknown', 'unknown', 'reexecute'],
]

/** What an effect leaves behind, and what callers are given. */
interface Value {
  readonly effect: number
  readonly fence: number
  readonly input: string
}

interface Grant {
  readonly fence: number
  readonly onAbandoned: OnAbandoned
  readonly by: string
}

/** What a seed came to: the trace, and each broken invariant as a sentence. */
export interface Story {
  readonly trace: readonly string[]
  readonly broken: readonly string[]
  readonly effects: number
}

/** Plays one seed over these rules. Of three seeds one runs under `unknown`, one under `reexecute`, one under both. */
export async function play(seed: number, rules: Rules): Promise<Story> {
  const scenario = new Scenario(seed, rules)
  return scenario.play()
}

class Scenario {
  readonly #simulator: Simulator
  /** By slot: two processes may disagree about the policy, and then the recorded one decides. */
  readonly #policies: readonly OnAbandoned[]
  readonly #store: Store
  readonly #slots: { process: SimulatedProcess; once: Idempotency }[] = []
  readonly #grants = new Map<string, Grant[]>()
  readonly #effects: { readonly recordId: string; readonly fence: number }[] = []
  /** Releases by the operator, by the record's newest fence: each allows one more effect. */
  readonly #released: { readonly recordId: string; readonly fence: number }[] = []
  readonly #results: { readonly asked: string; readonly result: RunResult<Value> }[] = []
  readonly #broken: string[] = []
  #pending = 0
  #generation = 0

  constructor(seed: number, rules: Rules) {
    const simulator = new Simulator(seed)
    this.#simulator = simulator
    this.#policies = mixtures[seed % mixtures.length] ?? []
    const time = () => ({ wallMs: simulator.wallOffsetMs + simulator.nowMs, leaseMs: simulator.nowMs })
    const seen = watched(rules, (broken) => this.#broken.push(broken))
    this.#store = modelStore(seen, time, (recordId, record, by) => {
      simulator.say(`${recordId.slice(0, 4)} granted by ${by}, attempt ${record.attempt}`)
      const grants = this.#grants.get(recordId) ?? []
      this.#grants.set(recordId, [...grants, { fence: record.fence, onAbandoned: record.onAbandoned, by }])
    })
  }

  async play(): Promise<Story> {
    const simulator = this.#simulator
    for (let slot = 0; slot < 3; slot++) this.#boot(slot)
    this.#troubles()
    await simulator.runUntil(phases.faultyMs)
    simulator.faulty = false
    simulator.say('the faults end')
    await simulator.runUntil(phases.faultyMs + phases.calmMs)
    await this.#lastCallers()
    this.#judge()
    return { trace: simulator.trace, broken: this.#broken, effects: this.#effects.length }
  }

  /** Starts a process in a slot, and its callers with it. */
  #boot(slot: number): void {
    const process = new SimulatedProcess(this.#simulator, `p${slot}.${this.#generation++}`)
    const { clock, random } = process
    const store = over(this.#store, process)
    const onAbandoned = this.#policies[slot] ?? 'unknown'
    const once = createIdempotency({ store, clock, random, pepper, onAbandoned, ...policy })
    this.#slots[slot] = { process, once }
    this.#callers(process, once)
  }

  #callers(process: SimulatedProcess, once: Idempotency): void {
    const simulator = this.#simulator
    const again = (): void => {
      if (!simulator.faulty) return
      void this.#call(process, once, `k${simulator.pick(2)}`, simulator.chance() < 0.05 ? 'other' : 'usual')
      process.soon(simulator.chance() * 8_000, again)
    }
    process.soon(simulator.chance() * 4_000, again)
  }

  async #call(process: SimulatedProcess, once: Idempotency, key: string, input: string): Promise<void> {
    this.#pending += 1
    try {
      const result = await once.runDetailed({ key, input }, (attempt) => this.#execute(process, attempt, input))
      this.#simulator.say(`${process.name} has ${key} ${result.status}: effect ${result.value.effect}`)
      this.#results.push({ asked: input, result })
    } catch (error) {
      const code = error instanceof IdempotencyError ? error.code : String(error)
      this.#simulator.say(`${process.name} is refused ${key}: ${code}`)
      if (code.startsWith('TypeError') || code === 'internal') this.#broken.push(`a caller was told ${code}`)
    }
    this.#pending -= 1
  }

  async #execute(process: SimulatedProcess, attempt: RunningAttempt, input: string): Promise<Value> {
    const { chance } = this.#simulator
    if (chance() < 0.05) throw new Error('refused before anything was done')
    await attempt.dispatching()
    const effect = this.#effects.length + 1
    this.#effects.push({ recordId: attempt.recordId, fence: attempt.fence })
    this.#simulator.say(`${process.name} has effect ${effect} on ${attempt.recordId.slice(0, 4)}`)
    await sleep(process.clock, chance() < 0.15 ? chance() * 15_000 : chance() * 2_000)
    if (chance() < 0.05) throw new Error('failed after the effect')
    return { effect, fence: attempt.fence, input }
  }

  /** Crashes with a restart, pauses beyond the lease, wall clocks that are set, an operator: at random, until the calm. */
  #troubles(): void {
    const simulator = this.#simulator
    const again = (): void => {
      if (!simulator.faulty) return
      const slot = simulator.pick(3)
      const { process } = this.#slots[slot] as { process: SimulatedProcess }
      const kind = simulator.pick(8)
      if (kind < 3) process.pause(simulator.chance() * 12_000)
      else if (kind < 5) {
        process.crash()
        simulator.at(simulator.chance() * 5_000, () => this.#boot(slot))
      } else if (kind === 5) {
        const byMs = Math.round((simulator.chance() - 0.5) * 200_000)
        simulator.say(`the store's wall clock is set by ${byMs} ms`)
        simulator.wallOffsetMs += byMs
      } else if (kind === 6) void this.#operator()
      simulator.at(simulator.chance() * 10_000, again)
    }
    simulator.at(simulator.chance() * 5_000, again)
  }

  /** Releases what is unknown: he knows what he does, and it is his release if it is paid again. Cancels some of what runs. */
  async #operator(): Promise<void> {
    const { entries } = await this.#store.scan(undefined, { limit: 10 })
    for (const { recordId, record } of entries) {
      const to = record.state === 'running' && this.#simulator.chance() < 0.5 ? 'cancelled' : 'released'
      if (record.state !== 'unknown' && to === 'released') continue
      // He thinks before he acts, and the record may have moved on by then.
      const thinksMs = to === 'cancelled' ? 500 : 20_000
      await new Promise<void>((resolve) => void this.#simulator.at(this.#simulator.chance() * thinksMs, resolve))
      const fresh = `operator-${this.#simulator.pick(1e9)}` as AttemptId
      const [answer] = await this.#store.resolve([{ recordId, expected: record.attemptId, fresh, to }])
      if (answer?.kind !== 'recorded') continue
      this.#simulator.say(`the operator ends ${recordId.slice(0, 4)} as ${to}`)
      // What was cancelled is no leave to pay again.
      if (to === 'cancelled') continue
      this.#released.push({ recordId, fence: record.fence })
    }
  }

  /** I12: with a live store and a live caller every record leaves `running`, and everybody is answered. */
  async #lastCallers(): Promise<void> {
    for (const { process } of this.#slots) process.crash()
    const process = new SimulatedProcess(this.#simulator, 'last')
    const { clock, random } = process
    const store = over(this.#store, process)
    const once = createIdempotency({ store, clock, random, pepper, onAbandoned: 'unknown', ...policy })
    this.#pending = 0
    for (const key of ['k0', 'k1']) void this.#call(process, once, key, 'usual')
    await this.#simulator.runUntil(this.#simulator.nowMs + 60_000)
    if (this.#pending > 0) this.#broken.push(`I12: ${this.#pending} callers still wait a minute after the calm`)
    const { entries } = await this.#store.scan(undefined, { limit: 10 })
    for (const { recordId, record } of entries)
      if (record.state === 'running') this.#broken.push(`I12: ${recordId.slice(0, 4)} is still running`)
  }

  #judge(): void {
    for (const [recordId, grants] of this.#grants) {
      this.#judgeFences(recordId, grants)
      this.#judgeEffects(recordId, grants)
    }
    for (const { asked, result } of this.#results) {
      const { effect, fence, input } = result.value
      if (input !== asked) this.#broken.push(`I7: a request got the outcome of another one (effect ${effect})`)
      if (fence !== result.fence) this.#broken.push(`I3: the outcome of fence ${result.fence} is that of ${fence}`)
    }
  }

  #judgeFences(recordId: string, grants: readonly Grant[]): void {
    for (const [at, { fence }] of grants.entries()) {
      const former = grants[at - 1]?.fence ?? 0
      if (fence <= former) this.#broken.push(`I9: ${recordId.slice(0, 4)} went from fence ${former} to ${fence}`)
    }
  }

  /** An incarnation begins with a first claim (T1, T12); what its attempts did is its own, however late they did it. */
  #judgeEffects(recordId: RecordId | string, grants: readonly Grant[]): void {
    const starts = grants.filter(({ by }) => by === 'claim' || by === 'claim_over').map(({ fence }) => fence)
    for (const [at, from] of starts.entries()) {
      const until = starts[at + 1] ?? Number.POSITIVE_INFINITY
      const inside = <T extends { recordId: string; fence: number }>(all: readonly T[]): T[] =>
        all.filter((one) => one.recordId === recordId && one.fence >= from && one.fence < until)
      const effects = inside(this.#effects)
      // An effect of an attempt under `reexecute` may be followed by another one, for its own policy allows that.
      const lenient = new Set(grants.flatMap((grant) => (grant.onAbandoned === 'unknown' ? [] : [grant.fence])))
      const free = effects.filter(({ fence }) => lenient.has(fence)).length
      const allowed = 1 + free + inside(this.#released).length
      if (effects.length > allowed) this.#broken.push(`I4: ${effects.length} effects where ${allowed} are allowed`)
      if (new Set(effects.map(({ fence }) => fence)).size < effects.length)
        this.#broken.push('I1: one grant had two effects')
      const outcomes = this.#results
        .filter(({ result }) => result.recorded && result.recordId === recordId)
        .map(({ result }) => result.value)
        .filter(({ fence }) => fence >= from && fence < until)
      if (new Set(outcomes.map(({ effect }) => effect)).size > 1)
        this.#broken.push(`I2: callers were given different outcomes (${outcomes.map((o) => o.effect).join(', ')})`)
    }
  }
}

/** The store as a process reaches it. */
function over(store: Store, process: SimulatedProcess): Store {
  return {
    ...store,
    claim: (asks) => process.call(() => store.claim(asks)),
    renew: (asks) => process.call(() => store.renew(asks)),
    settle: (asks) => process.call(() => store.settle(asks)),
    read: (ids) => process.call(() => store.read(ids)),
    readBody: (id, attemptId, offset) => process.call(() => store.readBody(id, attemptId, offset)),
    sweep: (limit, skewMs) => process.call(() => store.sweep(limit, skewMs)),
    meta: (name, ifAbsent) => process.call(() => store.meta(name, ifAbsent)),
  }
}
