/** A world in one process: virtual time, processes that pause and crash, and a network that loses and repeats calls. */
import type { Clock, Timer } from '../../packages/oncekey/src/core/clock.ts'
import type { Random } from '../../packages/oncekey/src/core/random.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

/** Chance that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What the network does with one call, and how long it takes there and back, ms. */
interface Passage {
  readonly fate: 'arrives' | 'request lost' | 'answer lost' | 'twice'
  readonly thereMs: number
  readonly backMs: number
}

/** One seed's world. Everything that happens is an event at a virtual time; equal times happen in the order of their making. */
export class Simulator {
  readonly chance: () => number
  /** What happened, in words; the same seed gives the same trace. */
  readonly trace: string[] = []
  nowMs = 0
  /** How far the store's wall clock has been set from the true time. */
  wallOffsetMs = 1_800_000_000_000
  /** While true calls are lost and repeated. */
  faulty = true
  readonly #events: Event[] = []
  #made = 0

  constructor(seed: number) {
    this.chance = seeded(seed)
  }

  /** A whole number from 0 to below `below`. */
  pick(below: number): number {
    return Math.floor(this.chance() * below)
  }

  say(what: string): void {
    this.trace.push(`${Math.round(this.nowMs)} ${what}`)
  }

  at(delayMs: number, run: () => void): Event {
    const event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#made++, run }
    this.#events.push(event)
    return event
  }

  cancel(event: Event): void {
    const index = this.#events.indexOf(event)
    if (index >= 0) this.#events.splice(index, 1)
  }

  /** Lets everything happen up to a time. */
  async runUntil(untilMs: number): Promise<void> {
    await quiet()
    for (let event = this.#next(untilMs); event !== undefined; event = this.#next(untilMs)) {
      this.cancel(event)
      this.nowMs = event.atMs
      event.run()
      await quiet()
    }
    this.nowMs = untilMs
  }

  passage(): Passage {
    const there = this.chance()
    const slow = this.faulty && this.chance() < 0.02 ? 3_000 : 0
    const thereMs = 0.2 + there * 3 + slow
    const backMs = 0.2 + this.chance() * 3
    if (!this.faulty) return { fate: 'arrives', thereMs, backMs }
    const luck = this.chance()
    const fate = luck < 0.03 ? 'request lost' : luck < 0.08 ? 'answer lost' : luck < 0.11 ? 'twice' : 'arrives'
    return { fate, thereMs, backMs }
  }

  #next(untilMs: number): Event | undefined {
    let first: Event | undefined
    for (const event of this.#events) {
      if (event.atMs > untilMs) continue
      if (first === undefined || event.atMs < first.atMs || (event.atMs === first.atMs && event.order < first.order))
        first = event
    }
    return first
  }
}

/** One process: its clock stands still for its code while it is paused, and nothing of it happens after a crash. */
export class SimulatedProcess {
  readonly name: string
  crashed = false
  readonly clock: Clock
  readonly random: Random
  readonly #simulator: Simulator
  #pausedUntilMs = 0

  constructor(simulator: Simulator, name: string) {
    this.#simulator = simulator
    this.name = name
    this.clock = {
      wallMs: () => simulator.wallOffsetMs + simulator.nowMs,
      monotonicMs: () => simulator.nowMs,
      setTimer: (delayMs, fire) => this.#timer(delayMs, fire),
      nextTurn: (run) => this.soon(0, run),
    }
    this.random = {
      fraction: () => simulator.chance(),
      bytes: (length) => Uint8Array.from({ length }, () => simulator.pick(256)),
    }
  }

  pause(forMs: number): void {
    this.#simulator.say(`${this.name} stands still for ${Math.round(forMs)} ms`)
    this.#pausedUntilMs = this.#simulator.nowMs + forMs
  }

  crash(): void {
    this.#simulator.say(`${this.name} crashes`)
    this.crashed = true
  }

  /** Runs code of this process: later if it stands still, never once it has crashed. */
  soon(delayMs: number, run: () => void): void {
    this.#simulator.at(delayMs, () => {
      const leftMs = this.#pausedUntilMs - this.#simulator.nowMs
      if (this.crashed) return
      if (leftMs > 0) this.soon(leftMs, run)
      else run()
    })
  }

  #timer(delayMs: number, fire: () => void): Timer {
    let cancelled = false
    this.soon(delayMs, () => cancelled || fire())
    return {
      cancel: () => {
        cancelled = true
      },
    }
  }

  /** A call over the network: what the other side does is done once it arrives, whatever becomes of the answer. */
  call<Answer>(serve: () => Promise<Answer>): Promise<Answer> {
    const { fate, thereMs, backMs } = this.#simulator.passage()
    return new Promise((resolve, reject) => {
      if (fate === 'request lost') return
      const arrive = async (answers: boolean): Promise<void> => {
        const answer = serve()
        await answer.then(
          (value) => answers && this.soon(backMs, () => resolve(value)),
          (error: unknown) => answers && this.soon(backMs, () => reject(error)),
        )
      }
      this.#simulator.at(thereMs, () => void arrive(fate !== 'answer lost'))
      if (fate === 'twice')
        this.#simulator.at(thereMs + backMs + this.#simulator.chance() * 5_000, () => void arrive(false))
    })
  }
}

/** Everything that is ready has run. A turn of the real loop drains all microtasks, however long their chain. */
function quiet(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
