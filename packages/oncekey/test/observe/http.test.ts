/** Requests of an adapter as spans: in the caller's trace, with the handler's own spans in the attempt. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import express from 'express'
import Koa from 'koa'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Observable } from '../../src/core/instrument.ts'
import * as onExpress from '../../src/http/express.ts'
import * as onFetch from '../../src/http/fetch.ts'
import * as onKoa from '../../src/http/koa.ts'
import * as onNode from '../../src/http/node.ts'
import { observe } from '../../src/observe/otel.ts'
import { memoryStore } from '../../src/stores/memory.ts'

const spans = new InMemorySpanExporter()
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
const tracer = tracerProvider.getTracer('application')
const options = () => ({
  store: memoryStore(),
  onAbandoned: 'reexecute' as const,
  observe: (host: Observable) => observe(host, { tracerProvider, meterProvider: new MeterProvider() }),
})

beforeAll(() => context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()))
beforeEach(() => spans.reset())
afterAll(async () => {
  context.disable()
  await tracerProvider.shutdown()
})

/** A handler's work: a span of its own, behind an await. */
async function answer(): Promise<{ answer: number }> {
  await new Promise((resolve) => setTimeout(resolve, 5))
  tracer.startSpan('model call').end()
  return { answer: 42 }
}

/** Asks in a request's span, as an instrumented server has it around everything. */
type Ask = () => Promise<Response>
const post = (url: string): ReturnType<Ask> =>
  fetch(url, { method: 'POST', headers: { 'Idempotency-Key': '"k"', Authorization: 'Bearer t' }, body: '{}' })

async function listening(server: Server): Promise<{ ask: Ask; close(): Promise<void> }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    ask: () => post(`http://127.0.0.1:${port}/answers`),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** As @opentelemetry/instrumentation-http does: a span around what a server does with one request. */
function inRequest<Args extends unknown[]>(handle: (...args: Args) => unknown): (...args: Args) => void {
  return (...args) =>
    tracer.startActiveSpan('request', (span) => void Promise.resolve(handle(...args)).finally(() => span.end()))
}

const adapters = {
  node: async () => {
    const wrap = onNode.idempotency(options())
    const handler = wrap(async (_, response) => void response.end(JSON.stringify(await answer())))
    return listening(createServer(inRequest(handler)))
  },
  express: async () => {
    const app = express().use(onExpress.idempotency(options()))
    app.post('/answers', async (_, response) => void response.json(await answer()))
    return listening(createServer(inRequest((request, response) => app(request, response))))
  },
  koa: async () => {
    const app = new Koa().use(onKoa.idempotency(options()))
    app.use(async (ctx) => {
      ctx.body = await answer()
    })
    return listening(createServer(inRequest(app.callback())))
  },
  fetch: async () => {
    const handler = onFetch.idempotency(options())(async () => Response.json(await answer()))
    const ask: Ask = () =>
      tracer.startActiveSpan('request', async (span) => {
        const request = new Request('http://app/answers', {
          method: 'POST',
          headers: { 'Idempotency-Key': '"k"', Authorization: 'Bearer t' },
          body: '{}',
        })
        return handler(request).finally(() => span.end())
      })
    return { ask, close: async () => undefined }
  },
}

function only(name: string): ReadableSpan {
  const found = spans.getFinishedSpans().filter((span) => span.name === name)
  expect(found, name).toHaveLength(1)
  return found[0] as ReadableSpan
}

const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId
const idOf = (span: ReadableSpan) => span.spanContext().spanId

describe.each(Object.entries(adapters))('%s', (_, open) => {
  test('request ▸ operation ▸ attempt ▸ the handler’s spans; a replay links to the trace of its original', async () => {
    const { ask, close } = await open()
    try {
      expect((await ask()).status).toBe(200)
      await expect.poll(() => spans.getFinishedSpans().some(({ name }) => name === 'request')).toBe(true)
      const operation = only('oncekey.operation')
      expect(operation.attributes).toEqual({ 'oncekey.kind': 'http', 'oncekey.status': 'executed' })
      expect(parentOf(operation)).toBe(idOf(only('request')))
      expect(parentOf(only('oncekey.attempt'))).toBe(idOf(operation))
      expect(parentOf(only('model call'))).toBe(idOf(only('oncekey.attempt')))
      const { traceId } = operation.spanContext()
      spans.reset()
      expect((await ask()).headers.get('idempotency-status')).toBe('replayed')
      await expect.poll(() => spans.getFinishedSpans().some(({ name }) => name === 'request')).toBe(true)
      const replay = only('oncekey.operation')
      expect(replay.attributes['oncekey.status']).toBe('replayed')
      expect(replay.links.map((link) => link.context.traceId)).toEqual([traceId])
      expect(traceId).not.toBe(replay.spanContext().traceId)
      expect(trace.getActiveSpan()).toBeUndefined()
    } finally {
      await close()
    }
  })
})
