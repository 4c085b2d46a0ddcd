/** What former attempts have recorded, and what this one has asked for: the same names, in an order that fits. */
import type { Clock } from '../core/clock.ts'
import { IdempotencyError } from '../core/errors.ts'
import { limits } from '../core/policy.ts'
import type { KeptStep } from '../core/store.ts'
import { decodeEntry, type StepEntry } from './entry.ts'

/**
 * The names of one attempt beside those of the attempts before it.
 *
 * A step of a name that nobody ever asked for may begin once all recorded steps have been asked for again: in a program
 * whose names stay the same they have been, or will be at once, as they are answered from the record. A name that changes
 * from attempt to attempt (a time or a random number in it) is found here, before its step is paid for a second time.
 */
export class History {
  readonly #clock: Clock
  readonly #asked = new Set<string>()
  #untold: string[] = []
  /** All that was ever asked for, as far as anybody wrote it down. */
  readonly #known = new Set<string>()
  readonly #entries = new Map<string, StepEntry>()
  #unasked = new Set<string>()
  #allAsked: (() => void)[] = []
  /** Bytes that former attempts have recorded. */
  bytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes in what the store has kept. Throws `store_unavailable` for what this version cannot read. */
  load(kept: readonly KeptStep[]): void {
    for (const { value } of kept) {
      const entry = decodeEntry(value)
      this.bytes += value.length
      this.#entries.set(entry.name, entry)
      for (const name of [entry.name, ...entry.asked]) this.#known.add(name)
    }
    this.#unasked = new Set([...this.#entries.keys()].filter((name) => !this.#asked.has(name)))
  }

  /** Notes that a step is asked for. Throws `step_changed` for a name that was asked for before. */
  ask(name: string): void {
    if (typeof name !== 'string' || name === '' || name.length > 255)
      throw new IdempotencyError('config_invalid', 'The name of a step is a string of 1 to 255 characters.')
    if (this.#asked.has(name)) {
      throw changed(`The step ${quoted(name)} was asked for twice. Give each step of an operation a name of its own.`)
    }
    if (this.#asked.size === limits.steps) {
      const sentence = `An operation has at most ${limits.steps} steps. Let one step do the work of several, or make several operations of it.`
      throw new IdempotencyError('step_too_large', sentence)
    }
    this.#asked.add(name)
    this.#untold.push(name)
    if (this.#unasked.delete(name) && this.#unasked.size === 0) for (const go of this.#allAsked.splice(0)) go()
  }

  /** Names that were asked for since the last call: they are written with the next entry. */
  untold(): readonly string[] {
    return this.#untold.splice(0)
  }

  /** What a former attempt has recorded under a name. */
  entry(name: string): StepEntry | undefined {
    return this.#entries.get(name)
  }

  /** All that former attempts have recorded. */
  get entries(): Iterable<StepEntry> {
    return this.#entries.values()
  }

  /** Resolves when a step may begin. Throws `step_changed` when recorded ones are not asked for any more. */
  async mayBegin(name: string): Promise<void> {
    if (this.#known.has(name) || this.#unasked.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(limits.stepGraceMs, resolve, true)
      this.#allAsked.push(() => {
        timer.cancel()
        resolve()
      })
    })
    if (this.#unasked.size === 0) return
    const [first, ...more] = this.#unasked
    const others = more.length === 0 ? '' : ` and ${more.length} more`
    throw changed(
      `A former attempt recorded the step ${quoted(first ?? '')}${others}, which this one has not asked for before the new step ${quoted(name)}. ` +
        'Names must be the same in each attempt, in the same order, with no time and no chance in them; purge(operation) begins anew.',
    )
  }
}

/** The refusal of a step that is not the one that was recorded. */
export function changed(sentence: string): IdempotencyError {
  return new IdempotencyError('step_changed', sentence)
}

/** A name as it is shown. */
export function quoted(name: string): string {
  return JSON.stringify(name)
}
