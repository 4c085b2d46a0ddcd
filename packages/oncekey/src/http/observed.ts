/** An instrument around the requests of a host: its account of one tells it how the request was answered. */
import type { Instrument, Tell } from '../core/instrument.ts'
import type { Account } from './account.ts'
import type { Dispatch, UpstreamCall, UpstreamEvents } from './caller.ts'

/** What is kept with an answer for those that are spared by it. */
interface Note {
  readonly trace?: string
}

/** The account of one request. Replays come back with the note of the execution that made them. */
export class ObservedAccount implements Account {
  readonly #instrument: Instrument
  readonly #tell: Tell
  #by: Parameters<Account['granted']>[1] = 'claim'

  constructor(instrument: Instrument, tell: Tell) {
    this.#instrument = instrument
    this.#tell = tell
  }

  named(): void {}

  granted(_: number, by: Parameters<Account['granted']>[1]): void {
    this.#by = by
  }

  executed(): Note {
    this.#tell({ status: 'executed' })
    const trace = this.#instrument.trace()
    return trace === undefined ? {} : { trace }
  }

  spared(how: 'replayed' | 'joined', note: unknown): void {
    const { trace } = (note ?? {}) as Note
    this.#tell({ status: how, trace })
  }

  /** The handler's call, with the attempt around it: what it starts in its own turn is the attempt's. */
  dispatched(dispatch: Dispatch): Dispatch {
    return (events, body, attempt) => {
      let call: UpstreamCall | undefined
      const facts = { by: this.#by, number: attempt.number }
      const ended = this.#instrument.attempt(facts, () => {
        return new Promise<void>((resolve, reject) => {
          call = dispatch(ending(events, resolve, reject), body, attempt)
        })
      })
      // How it failed is the events' to tell; the instrument has seen it.
      ended.catch(() => undefined)
      if (call === undefined) throw new Error('an instrument has to begin its work at once')
      return call
    }
  }
}

/** The same events; whose end is the end of the attempt. */
function ending(events: UpstreamEvents, resolve: () => void, reject: (cause: unknown) => void): UpstreamEvents {
  return {
    interim: (status, headers) => events.interim?.(status, headers),
    head: (status, headers) => events.head(status, headers),
    data: (bytes) => events.data(bytes),
    end(trailers) {
      resolve()
      events.end(trailers)
    },
    fail(failure) {
      reject(failure.cause)
      events.fail(failure)
    },
  }
}
