/** The metrics of an engine. Every attribute has few values, which are all in the code. */
import type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api'
import type { OnceEvent } from '../core/events.ts'

/** Bounds for what takes from a store call to a long model call, s. */
const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

/** Seconds as OpenTelemetry has them; names after its conventions. */
export class Instruments {
  readonly #operations: Histogram
  readonly #waits: Histogram
  readonly #storeCalls: Histogram
  readonly #attempts: Counter
  readonly #ends: Counter
  readonly #incidents: Counter
  readonly #swept: Counter
  readonly #meter: Meter

  constructor(meter: Meter) {
    const histogram = (name: string, description: string): Histogram =>
      meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries: seconds } })
    const counter = (name: string, description: string): Counter => meter.createCounter(name, { description })
    this.#meter = meter
    this.#operations = histogram('oncekey.operation.duration', 'From asking for an operation to its answer.')
    this.#waits = histogram('oncekey.wait.duration', 'How long duplicates waited for a running original.')
    this.#storeCalls = histogram('oncekey.store.call.duration', 'Calls of the store, each of one record or many.')
    this.#attempts = counter('oncekey.attempts', 'Claims that were granted, and by what.')
    this.#ends = counter('oncekey.attempt.ends', 'How attempts ended.')
    this.#incidents = counter('oncekey.incidents', 'What somebody may want to look at.')
    this.#swept = counter('oncekey.swept', 'Records that the sweeper has changed.')
  }

  /** Gauges are asked when somebody reads them. */
  watch(load: () => { readonly running: number; readonly waiting: number }): void {
    const gauge = (name: string, description: string, read: () => number): void => {
      this.#meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read()))
    }
    gauge('oncekey.running', 'Executions of this process that run.', () => load().running)
    gauge('oncekey.waiting', 'Duplicates that wait in this process.', () => load().waiting)
  }

  operation(attributes: Attributes, ms: number): void {
    this.#operations.record(ms / 1000, attributes)
  }

  heard(event: OnceEvent): void {
    switch (event.kind) {
      case 'granted':
        return this.#attempts.add(1, { 'oncekey.granted_by': event.by })
      case 'settled':
        return this.#ends.add(1, { 'oncekey.end': event.as })
      case 'waited':
        return this.#waits.record(event.ms / 1000)
      case 'store_called':
        return this.#storeCalls.record(event.ms / 1000, { 'oncekey.call': event.call })
      case 'store_failed':
        return this.#incidents.add(1, { 'oncekey.incident': 'store_failed' })
      case 'lost':
        return this.#incidents.add(1, { 'oncekey.incident': event.reason })
      case 'superseded':
      case 'unrecorded':
      case 'bypassed':
      case 'undecipherable':
      case 'mismatch':
      case 'abandoned':
        return this.#incidents.add(1, { 'oncekey.incident': event.kind })
      case 'swept':
        for (const how of ['abandoned', 'expired', 'purged', 'released'] as const)
          if (event[how] > 0) this.#swept.add(event[how], { 'oncekey.swept': how })
        return
    }
  }
}
