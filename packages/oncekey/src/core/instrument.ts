/** The door through which tracing comes in: who stands around operations and attempts, and hears what happens. */
import { IdempotencyError } from './errors.ts'
import type { Observer } from './events.ts'
import type { GrantedBy } from './store.ts'

/** How an operation was answered. `trace` is what the original left in its record. */
export interface Answered {
  readonly status: 'executed' | 'replayed' | 'joined' | 'bypassed'
  readonly trace?: string | undefined
}

/** Where an operation tells how it was answered, before it ends. */
export type Tell = (answered: Answered) => void

/** Stands around the work of an engine. What it throws is thrown into that work, so it must not throw. */
export interface Instrument {
  /** Around all of an operation, from asking to its answer or its refusal. */
  operation<T>(kind: 'value' | 'http', work: (tell: Tell) => Promise<T>): Promise<T>
  /** Around the execution of one attempt: user code, or the call of an upstream. */
  attempt<T>(facts: { readonly by: GrantedBy | 'yours'; readonly number: number }, work: () => Promise<T>): Promise<T>
  /** What the record is to keep, so that a replay can name its original: a `traceparent` of at most 55 characters. */
  trace(): string | undefined
  readonly heard: Observer
  /** Told once, when it is put around an engine. */
  begin?(load: () => { readonly running: number; readonly waiting: number }): void
}

/** Something that an instrument can be put around: an `Idempotency`, or what an adapter answers. */
export interface Observable {
  /** Throws `config_invalid` where one is there already. */
  observe(instrument: Instrument): void
}

/** Who watches an engine; looked up at each event, since an instrument may come late. */
export class Watch {
  readonly #given: Observer | undefined
  #instrument: Instrument | undefined
  #both: Observer | undefined

  constructor(given?: Observer) {
    this.#given = given
    this.#both = given
  }

  /** Undefined where nobody listens, so that nothing need be said. */
  get observer(): Observer | undefined {
    return this.#both
  }

  get instrument(): Instrument | undefined {
    return this.#instrument
  }

  /** Puts an instrument around. Throws `config_invalid` where one is there already. */
  add(instrument: Instrument): void {
    if (this.#instrument !== undefined)
      throw new IdempotencyError('config_invalid', 'This engine is observed already. Call observe once.')
    this.#instrument = instrument
    const { heard } = instrument
    const given = this.#given
    this.#both =
      given === undefined
        ? heard
        : (event) => {
            given(event)
            heard(event)
          }
  }
}

/** Nobody told. */
export const untold: Tell = () => undefined
