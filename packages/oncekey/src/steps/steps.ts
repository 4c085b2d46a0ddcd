/** `attempt.step(name, execute)`: runs once per operation, whatever number of attempts that takes. */
import { IdempotencyError } from '../core/errors.ts'
import { type Fingerprint, inputFingerprint } from '../core/fingerprint.ts'
import { classOf } from '../core/outcome.ts'
import type { StepExecute, StepOptions, StepPolicy, Steps, StepsHome } from '../core/step.ts'
import { final, isFinal } from '../core/value.ts'
import { encodeEntry, type StepEntry } from './entry.ts'
import { changed, History, quoted } from './history.ts'
import type { StepsOptions } from './index.ts'
import { endedWith, type Kept, keptError, keptValue, tooLarge } from './value.ts'

/** What is known of a step when it is asked for. */
interface Asked {
  readonly name: string
  readonly input: Fingerprint
  readonly policy: StepPolicy
}

/** The steps of one attempt. */
export function recordedSteps(home: StepsHome, options: StepsOptions, mostBytes: number): Steps {
  return new RecordedSteps(home, options, mostBytes)
}

class RecordedSteps implements Steps {
  readonly #home: StepsHome
  readonly #options: StepsOptions
  readonly #mostBytes: number
  readonly #history: History
  readonly #running = new Set<Promise<unknown>>()
  /** Steps of which nobody can tell whether they had their effect. */
  readonly #open = new Set<string>()
  #bytes = 0
  #loading: Promise<void> | undefined

  constructor(home: StepsHome, options: StepsOptions, mostBytes: number) {
    this.#home = home
    this.#options = options
    this.#mostBytes = mostBytes
    this.#history = new History(home.clock)
  }

  async step<T>(name: string, execute: StepExecute<T>, options: StepOptions = {}): Promise<T> {
    this.#history.ask(name)
    const running = this.#run(name, execute, options)
    this.#running.add(running)
    try {
      return (await running) as T
    } finally {
      this.#running.delete(running)
    }
  }

  async ended(): Promise<boolean> {
    await this.#load()
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    return this.#open.size > 0
  }

  async #run(name: string, execute: StepExecute<unknown>, options: StepOptions): Promise<unknown> {
    const { attempt, digest, pepper } = this.#home
    const input = inputFingerprint(digest, pepper, options.input)
    await this.#load()
    const former = this.#history.entry(name)
    if (former !== undefined && former.input !== input) throw otherInput(former)
    if (former?.state === 'value' || former?.state === 'error') return endedWith(former, this.#options.codec)
    // The recorded policy decides, as everywhere.
    const begun = former?.state === 'begun' ? former : undefined
    if (begun?.policy === 'unknown' && attempt.by !== 'retry') throw nobodyKnows(begun, attempt.recordId)
    const asked = { name, input, policy: begun?.policy ?? options.policy ?? 'reexecute' }
    await this.#history.mayBegin(name)
    const isEffect = attempt.onAbandoned === 'unknown' && options.policy !== 'reexecute'
    if (isEffect) await attempt.dispatching()
    // Where the whole operation is unknown after a crash, nothing more need be known of its step.
    const marked = asked.policy === 'reconcile' || (asked.policy === 'unknown' && !isEffect)
    if (marked && begun === undefined) await this.#keep(asked, { state: 'begun', codec: '', bytes: nothing })
    if (marked && asked.policy === 'unknown') this.#open.add(name)
    const recovering = begun?.policy === 'reconcile'
    return this.#execute(asked, () => execute({ signal: attempt.signal, recovering }))
  }

  async #execute(asked: Asked, execute: () => unknown): Promise<unknown> {
    let value: unknown
    try {
      value = await execute()
    } catch (error) {
      return this.#threw(asked, error)
    }
    const kept = await keptValue(value, this.#options.codec, this.#mostBytes).catch((error: unknown) => {
      // What can never be recorded is paid once all the same: the error is the step's outcome.
      if (error instanceof IdempotencyError && error.code === 'config_invalid') return this.#threw(asked, final(error))
      throw error
    })
    await this.#keep(asked, kept)
    this.#open.delete(asked.name)
    return kept.codec === 'stream' ? endedWith(kept, undefined) : value
  }

  async #threw(asked: Asked, error: unknown): Promise<never> {
    if (isFinal(error)) {
      await this.#keep(asked, keptError(error))
      this.#open.delete(asked.name)
      throw error
    }
    if (!this.#open.has(asked.name)) throw error
    if (classOf({ kind: 'threw', error, dispatched: true }, this.#options.classify).class !== 'not_executed') {
      throw new IdempotencyError('outcome_unknown', threwSentence(asked.name), {
        cause: error,
        recordId: this.#home.attempt.recordId,
      })
    }
    await this.#keep(asked, { state: 'cleared', codec: '', bytes: nothing })
    this.#open.delete(asked.name)
    throw error
  }

  async #keep(asked: Asked, kept: Kept): Promise<void> {
    const { attempt, digest, pepper } = this.#home
    const entry: StepEntry = { ...kept, ...asked, attempt: attempt.number, asked: this.#history.untold() }
    const value = encodeEntry(entry)
    if (this.#bytes + this.#history.bytes + value.length > this.#mostBytes) throw tooLarge(this.#mostBytes)
    this.#bytes += value.length
    await attempt.keep({ name: digest.hmac(pepper, ['step', attempt.recordId, asked.name]), value })
  }

  #load(): Promise<void> {
    const { attempt, calls } = this.#home
    if (!attempt.hasFormer) return resolved
    this.#loading ??= calls.steps(attempt.recordId).then((kept) => {
      this.#history.load(kept)
      // What an operator has released may run again; what was taken over, nobody has looked at.
      if (attempt.by === 'retry') return
      for (const { state, policy, name } of this.#history.entries)
        if (state === 'begun' && policy === 'unknown') this.#open.add(name)
    })
    return this.#loading
  }
}

const nothing = new Uint8Array(0)
const resolved = Promise.resolve()

function otherInput({ name, attempt }: StepEntry): IdempotencyError {
  return changed(
    `The step ${quoted(name)} was recorded by attempt ${attempt} with another input. Give the same input in each attempt, or make what differs part of the name.`,
  )
}

function nobodyKnows({ name, attempt }: StepEntry, recordId: string): IdempotencyError {
  const sentence = `Attempt ${attempt} died inside the step ${quoted(name)}, and nobody can tell whether it had its effect. Find out, then resolve the record: released lets the step run again.`
  return new IdempotencyError('outcome_unknown', sentence, { recordId })
}

function threwSentence(name: string): string {
  return `The step ${quoted(name)} threw, and may have had its effect. Find out, then resolve the record; let classify answer not_executed for errors that tell that nothing was done.`
}
