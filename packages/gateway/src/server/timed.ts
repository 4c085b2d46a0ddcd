/** Watches one upstream call: when its answer began, and when it was over. */
import { fieldValue, type RawHeaders, systemClock, type UpstreamEvents, type UpstreamFailure } from 'oncekey/http'

/** The events of a call on their way to the exchange, with the times at which they came; ms since its start. */
export class TimedCall implements UpstreamEvents {
  /** Undefined where there was no head. */
  headMs: number | undefined
  /** Of the first byte of its body. */
  firstMs: number | undefined
  /** Undefined until it has ended: a call that was broken off never does. */
  endMs: number | undefined
  status: number | undefined
  failure: UpstreamFailure['code'] | undefined
  /** Does it come event by event? */
  isStream = false
  readonly #events: UpstreamEvents
  readonly #startMs: number = systemClock.monotonicMs()

  constructor(events: UpstreamEvents) {
    this.#events = events
  }

  interim(status: number, headers: RawHeaders): void {
    this.#events.interim?.(status, headers)
  }

  head(status: number, headers: RawHeaders): void {
    this.status = status
    this.headMs = this.#passed()
    this.isStream = fieldValue(headers, 'content-type')?.startsWith('text/event-stream') === true
    this.#events.head(status, headers)
  }

  data(bytes: Uint8Array): void {
    this.firstMs ??= this.#passed()
    this.#events.data(bytes)
  }

  end(trailers: RawHeaders): void {
    this.endMs = this.#passed()
    this.#events.end(trailers)
  }

  fail(failure: UpstreamFailure): void {
    this.failure = failure.code
    this.endMs = this.#passed()
    this.#events.fail(failure)
  }

  #passed(): number {
    return systemClock.monotonicMs() - this.#startMs
  }
}
