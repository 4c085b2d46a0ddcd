/** `observe`: spans and metrics of an engine, by whatever SDK of OpenTelemetry the application has set up. */
import {
  type Attributes,
  context,
  isSpanContextValid,
  type MeterProvider,
  metrics,
  type Span,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import type { OnceEvent } from '../core/events.ts'
import type { Answered, Instrument, Observable, Tell } from '../core/instrument.ts'
import { Instruments } from './instruments.ts'
import { linkOf, traceparentOf } from './traceparent.ts'

/** Where spans and metrics go; default: the global providers. */
export interface ObserveOptions {
  readonly tracerProvider?: TracerProvider
  readonly meterProvider?: MeterProvider
}

/**
 * Puts spans and metrics around everything that is asked of `idempotency`, an engine or what an adapter answers. Once, before
 * the first request. Throws `config_invalid` the second time.
 *
 * Spans: `oncekey.operation`, in it `oncekey.attempt` (whose children are the spans of your own code), `oncekey.wait` and
 * `oncekey.store`. A replay's operation has a link to the span that executed it. No attribute holds a key, a record id, a
 * tenant, a scope or a path. Metrics: `docs/guide/observing.md`.
 */
export function observe(idempotency: Observable, options: ObserveOptions = {}): void {
  const tracer = (options.tracerProvider ?? trace.getTracerProvider()).getTracer('oncekey')
  const meter = (options.meterProvider ?? metrics.getMeterProvider()).getMeter('oncekey')
  idempotency.observe(new OpenTelemetry(tracer, new Instruments(meter)))
}

class OpenTelemetry implements Instrument {
  readonly #tracer: Tracer
  readonly #instruments: Instruments
  readonly heard: (event: OnceEvent) => void

  constructor(tracer: Tracer, instruments: Instruments) {
    this.#tracer = tracer
    this.#instruments = instruments
    this.heard = (event) => {
      instruments.heard(event)
      this.#noted(event)
    }
  }

  begin(load: () => { readonly running: number; readonly waiting: number }): void {
    this.#instruments.watch(load)
  }

  async operation<T>(kind: 'value' | 'http', work: (tell: Tell) => Promise<T>): Promise<T> {
    const beganMs = performance.now()
    let answered: Answered | undefined
    const attributes = { 'oncekey.kind': kind }
    return this.#tracer.startActiveSpan('oncekey.operation', { attributes }, async (span) => {
      const tell: Tell = (told) => {
        answered = told
        const link = told.trace === undefined ? undefined : linkOf(told.trace)
        if (link !== undefined) span.addLink(link)
      }
      try {
        const value = await work(tell)
        this.#ended(span, kind, beganMs, answered?.status ?? 'refused')
        return value
      } catch (error) {
        this.#ended(span, kind, beganMs, answered?.status ?? 'refused', error)
        throw error
      }
    })
  }

  async attempt<T>(
    { by, number }: { readonly by: string; readonly number: number },
    work: () => Promise<T>,
  ): Promise<T> {
    const attributes = { 'oncekey.granted_by': by, 'oncekey.attempt': number }
    return this.#tracer.startActiveSpan('oncekey.attempt', { attributes }, async (span) => {
      try {
        return await work()
      } catch (error) {
        failed(span, error)
        throw error
      } finally {
        span.end()
      }
    })
  }

  trace(): string | undefined {
    const spanContext = trace.getActiveSpan()?.spanContext()
    return spanContext !== undefined && isSpanContextValid(spanContext) ? traceparentOf(spanContext) : undefined
  }

  #ended(span: Span, kind: string, beganMs: number, status: string, error?: unknown): void {
    const code = codeOf(error)
    const attributes: Attributes = { 'oncekey.status': status, ...(code === undefined ? {} : { 'error.type': code }) }
    span.setAttributes(attributes)
    if (error !== undefined) failed(span, error)
    span.end()
    this.#instruments.operation({ ...attributes, 'oncekey.kind': kind }, performance.now() - beganMs)
  }

  /** Waits and store calls are over when they are heard of: their spans are made behind them. */
  #noted(event: OnceEvent): void {
    if (event.kind === 'waited') this.#past('oncekey.wait', event.ms, {})
    else if (event.kind === 'store_called') this.#past('oncekey.store', event.ms, { 'oncekey.call': event.call })
    else if (event.kind === 'lost') trace.getActiveSpan()?.addEvent('oncekey.lost', { 'oncekey.reason': event.reason })
  }

  /** A batched store call is in the trace of whoever came first; one that nobody asked for is in none. */
  #past(name: string, ms: number, attributes: Attributes): void {
    if (trace.getActiveSpan() === undefined) return
    const endMs = Date.now()
    this.#tracer.startSpan(name, { startTime: endMs - ms, attributes }, context.active()).end(endMs)
  }
}

/** An error as its code or class: messages may hold anything. */
function codeOf(error: unknown): string | undefined {
  if (error === undefined) return undefined
  const { code } = error as { readonly code?: unknown }
  if (typeof code === 'string' && /^[\w.-]{1,64}$/.test(code)) return code
  return error instanceof Error ? error.name : '_OTHER'
}

function failed(span: Span, error: unknown): void {
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.setAttribute('error.type', codeOf(error) ?? '_OTHER')
}
