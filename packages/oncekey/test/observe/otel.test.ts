/** Spans and metrics as a real SDK of OpenTelemetry records them, and the dashboard against a real scrape. */
import { readFileSync } from 'node:fs'
import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { IdempotencyError } from '../../src/core/errors.ts'
import { observe } from '../../src/observe/otel.ts'
import { type CreateOptions, createIdempotency } from '../../src/platform/idempotency.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { faultyStore } from '../../src/testing/faulty.ts'

const spans = new InMemorySpanExporter()
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
const exporter = new PrometheusExporter({ port: 0, preventServerStart: true })
const meterProvider = new MeterProvider({ readers: [exporter] })
const tracer = tracerProvider.getTracer('application')

beforeAll(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
beforeEach(() => spans.reset())
afterAll(async () => {
  context.disable()
  await tracerProvider.shutdown()
})

/** A process on a store, observed. */
function observed(store = memoryStore(), options: Partial<CreateOptions> = {}) {
  const once = createIdempotency({ store, onAbandoned: 'reexecute', leaseMs: 500, skewMs: 0, ...options })
  observe(once, { tracerProvider, meterProvider })
  return once
}

const secret = 'patient-4711'
const operation = { key: secret, tenant: `${secret}-tenant`, scope: `${secret}-scope`, input: { secret } }

function named(name: string): ReadableSpan[] {
  return spans.getFinishedSpans().filter((span) => span.name === name)
}

function only(name: string): ReadableSpan {
  const found = named(name)
  expect(found, name).toHaveLength(1)
  return found[0] as ReadableSpan
}

const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId
const idOf = (span: ReadableSpan) => span.spanContext().spanId

describe('spans', () => {
  test('an operation is a span in the caller’s trace, its attempt in it, and the spans of user code in that', async () => {
    const once = observed()
    await tracer.startActiveSpan('request', async (request) => {
      await once.run(operation, async () => {
        tracer.startSpan('model call').end()
        return 'answer'
      })
      request.end()
    })
    const whole = only('oncekey.operation')
    const attempt = only('oncekey.attempt')
    expect(parentOf(whole)).toBe(idOf(only('request')))
    expect(parentOf(attempt)).toBe(idOf(whole))
    expect(parentOf(only('model call'))).toBe(idOf(attempt))
    expect(whole.attributes).toEqual({ 'oncekey.kind': 'value', 'oncekey.status': 'executed' })
    expect(attempt.attributes).toEqual({ 'oncekey.granted_by': 'claim', 'oncekey.attempt': 1 })
    const calls = named('oncekey.store').map((span) => span.attributes['oncekey.call'])
    expect(calls).toEqual(expect.arrayContaining(['claim', 'settle']))
    expect(new Set(named('oncekey.store').map((span) => span.spanContext().traceId)).size).toBe(1)
    await once.close()
  })

  test('a replay, in another process and another trace, links to the span that executed it', async () => {
    const store = memoryStore()
    const [first, second] = [observed(store), observed(store)]
    await first.run(operation, () => 'answer')
    const original = only('oncekey.operation')
    spans.reset()
    await tracer.startActiveSpan('retry', async (retry) => {
      await second.run(operation, () => 'never')
      retry.end()
    })
    const replay = only('oncekey.operation')
    expect(replay.attributes['oncekey.status']).toBe('replayed')
    expect(replay.spanContext().traceId).not.toBe(original.spanContext().traceId)
    expect(replay.links.map((link) => [link.context.traceId, link.context.spanId])).toEqual([
      [original.spanContext().traceId, idOf(original)],
    ])
    expect(named('oncekey.attempt')).toEqual([])
    await first.close()
    await second.close()
  })

  test('a takeover and a wait are seen, and how long it was', async () => {
    const store = memoryStore()
    const dead = createIdempotency({
      store: faultyStore(store, (call) => (call === 'claim' || call === 'meta' ? undefined : 'hang')),
      onAbandoned: 'reexecute',
      leaseMs: 500,
      skewMs: 0,
      pepper: new Uint8Array(32),
    })
    const once = observed(store, { pepper: new Uint8Array(32) })
    await once.run({ key: 'warm' }, () => 1)
    // Only its claim is heard of. It is never closed, as a process that died is not.
    await new Promise<void>((begun) => {
      void dead.run(operation, () => new Promise(() => begun())).catch(() => undefined)
    })
    spans.reset()
    const started = performance.now()
    await once.run(operation, () => 'again')
    const tookMs = performance.now() - started
    const wait = only('oncekey.wait')
    expect(only('oncekey.attempt').attributes).toEqual({ 'oncekey.granted_by': 'takeover', 'oncekey.attempt': 2 })
    expect(parentOf(wait)).toBe(idOf(only('oncekey.operation')))
    const [seconds, nanos] = wait.duration
    expect(seconds * 1000 + nanos / 1e6).toBeGreaterThan(400)
    expect(seconds * 1000 + nanos / 1e6).toBeLessThan(tookMs + 50)
    await once.close()
  })

  test('a refusal has its code, an error of user code its name, and neither its message', async () => {
    const once = observed()
    await once.run(operation, () => 1)
    await expect(once.run({ ...operation, input: 'another' }, () => 2)).rejects.toThrow()
    const refused = named('oncekey.operation')[1] as ReadableSpan
    expect(refused.attributes).toMatchObject({ 'oncekey.status': 'refused', 'error.type': 'fingerprint_mismatch' })
    expect(refused.status.code).toBe(SpanStatusCode.ERROR)
    spans.reset()
    await expect(
      once.run({ key: 'other' }, () => {
        throw new TypeError(secret)
      }),
    ).rejects.toThrow(secret)
    expect(only('oncekey.attempt').attributes['error.type']).toBe('TypeError')
    await once.close()
  })

  test('nothing of a key, tenant, scope, input or answer is in any span or series', async () => {
    const once = observed()
    await once.run(operation, () => ({ secret }))
    await once.run(operation, () => ({ secret }))
    const told = JSON.stringify(
      spans
        .getFinishedSpans()
        .map(({ name, attributes, events, links, status }) => ({ name, attributes, events, links, status })),
    )
    expect(told).toContain('oncekey.operation')
    expect(told).not.toContain(secret)
    expect(told).not.toContain((await once.inspect(operation))?.attemptId ?? '-')
    expect(await scrape()).not.toContain(secret)
    await once.close()
  })

  test('without an SDK it costs nothing that fails, and a second observe is refused', async () => {
    const once = createIdempotency({ store: memoryStore(), onAbandoned: 'reexecute' })
    observe(once)
    expect(await once.run(operation, () => 1)).toBe(1)
    expect(trace.getActiveSpan()).toBeUndefined()
    let refusal: IdempotencyError | undefined
    try {
      observe(once)
    } catch (error) {
      refusal = error as IdempotencyError
    }
    expect(refusal?.code).toBe('config_invalid')
    await once.close()
  })
})

/** What Prometheus would read. */
async function scrape(): Promise<string> {
  let text = ''
  const response = {
    statusCode: 0,
    setHeader: () => undefined,
    end: (body: string) => {
      text = body
    },
  }
  exporter.getMetricsRequestHandler({} as never, response as never)
  await expect.poll(() => text).not.toBe('')
  return text
}

describe('the dashboard', () => {
  const dashboard = JSON.parse(
    readFileSync(new URL('../../../../deploy/grafana/oncekey.json', import.meta.url), 'utf8'),
  ) as {
    readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[]
  }
  const asked = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
  // A collector adds the unit to a histogram's name, the exporter for Prometheus does not: the dashboard takes both.
  const used = asked.flatMap((expr) => expr.match(/oncekey_[\w()?]*\w/g) ?? [])
  const isLabel = (name: string) => /^oncekey_(status|call|end|incident|swept|granted_by)$/.test(name)
  const series = [...new Set(used.filter((name) => !isLabel(name)))]
  const labels = [...new Set(used.filter(isLabel))]

  test('uses series and labels that a process gives when all has happened once, and no others', async () => {
    const store = memoryStore({ wallMs: () => Date.now() + aheadMs })
    let aheadMs = 0
    const once = observed(store)
    const [first, second] = await Promise.all([
      once.run(operation, () => new Promise((resolve) => setTimeout(resolve, 20, 1))),
      once.run(operation, () => 2),
    ])
    expect([first, second]).toEqual([1, 1])
    await once.run(operation, () => 3)
    await once.run({ ...operation, input: 'another' }, () => 4).catch(() => undefined)
    aheadMs = 10 * 86_400_000
    // The sweeper of an engine comes each minute; the store is swept here, and the engine's report is what it would say.
    expect((await store.sweep(100, 0)).purged).toBeGreaterThan(0)
    const clocked = await sweptOnce()
    expect(clocked).toBeGreaterThan(0)
    const text = await scrape()
    expect(series.length).toBeGreaterThan(8)
    expect(series.filter((name) => !new RegExp(`^${name}[{ ]`, 'm').test(text))).toEqual([])
    expect(labels.filter((name) => !text.includes(`${name}="`))).toEqual([])
    await once.close()
  })

  test('the control: a name that no process gives would be found', async () => {
    expect(/^oncekey_operations_total[{ ]/m.test(await scrape())).toBe(false)
  })
})

/** An engine whose minute is over at once, with a record that is to go. */
async function sweptOnce(): Promise<number> {
  let purged = 0
  const { manualClock } = await import('../../src/testing/clock.ts')
  const clock = manualClock()
  const once = createIdempotency({
    store: memoryStore({ wallMs: clock.wallMs, monotonicMs: clock.monotonicMs }),
    onAbandoned: 'reexecute',
    retentionMs: 1_000,
    clock,
    observer: (event) => {
      if (event.kind === 'swept') purged += event.purged
    },
  })
  observe(once, { tracerProvider, meterProvider })
  await once.run({ key: 'k' }, () => 1)
  await clock.advance(120_000)
  return purged
}
