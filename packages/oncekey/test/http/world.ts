/** The exchange on a clock moved by hand: callers that keep what they get, an upstream played by the test. */
import { Engine } from '../../src/core/engine.ts'
import { policyOf } from '../../src/core/policy.ts'
import type { Store } from '../../src/core/store.ts'
import type { HttpCaller, UpstreamEvents } from '../../src/http/caller.ts'
import { Exchange, type Exchanged } from '../../src/http/exchange.ts'
import type { RawHeaders } from '../../src/http/headers.ts'
import { planOf, type RouteOptions, routeDefaults } from '../../src/http/route.ts'
import { nodeDigest, systemRandom } from '../../src/platform/node.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type ManualClock, manualClock } from '../../src/testing/clock.ts'
import { type Fault, type FaultyCall, faultyStore } from '../../src/testing/faulty.ts'

export const utf8: TextEncoder = new TextEncoder()

/** A caller that keeps what it gets; `full` makes it take nothing more. */
export class Got implements HttpCaller {
  onDrain: (() => void) | undefined
  hasLeft = false
  status = 0
  headers: RawHeaders = []
  text = ''
  ended = false
  wasCut = false
  full = false
  readonly #leaving = new Set<() => void>()

  get started(): boolean {
    return this.status > 0
  }

  header(name: string): string | undefined {
    return this.headers[this.headers.findIndex((field, at) => at % 2 === 0 && field.toLowerCase() === name) + 1]
  }

  onLeave(left: () => void): () => void {
    if (this.hasLeft) left()
    else this.#leaving.add(left)
    return () => this.#leaving.delete(left)
  }

  leave(): void {
    this.hasLeft = true
    for (const left of [...this.#leaving]) left()
  }

  answer(status: number, headers: RawHeaders, body: Uint8Array): void {
    this.start(status, headers)
    this.write(body)
    this.end()
  }

  start(status: number, headers: RawHeaders): void {
    this.status = status
    this.headers = headers
  }

  write(bytes: Uint8Array): boolean {
    this.text += new TextDecoder().decode(bytes)
    return !this.full
  }

  end(): void {
    this.ended = true
  }

  /** A connection that is destroyed closes a moment later, as if its caller had hung up. */
  cut(): void {
    this.wasCut = true
    queueMicrotask(() => this.leave())
  }
}

/** What the exchange is asked. */
export interface Sent {
  readonly key?: string
  readonly path?: string
  readonly body?: string
  /** The retry count that is declared. */
  readonly count?: number
  readonly as?: string
  /** Which process gets it, from 0. */
  readonly at?: number
}

/** One upstream call, in the hands of the test. */
export interface UpstreamPlayed {
  readonly events: UpstreamEvents
  /** Which request it was made for, from 0. */
  readonly request: number
  aborted: boolean
}

/** How a world differs from the usual one. */
export interface WorldOptions extends Partial<RouteOptions> {
  readonly failOpen?: boolean
  readonly onAbandoned?: 'unknown'
  readonly admits?: Exchanged['admits']
}

/** What a test holds of a world. */
export interface World {
  readonly clock: ManualClock
  readonly calls: UpstreamPlayed[]
  /** Sends one request, with a key where it is given one. */
  send(asked: Sent | string | undefined): { readonly caller: Got; readonly done: Promise<'handled' | 'bypass'> }
  /** Answers a call whole. */
  answer(events: UpstreamEvents, text?: string, status?: number): void
  /** Begins an event stream. */
  stream(events: UpstreamEvents, ...parts: string[]): void
}

/** Puts another store in place of the usual one. */
export type Mend = (store: Store, clock: ManualClock) => Store

/**
 * Processes on one store, each an engine and an exchange of its own; `plan` breaks their store calls.
 */
export function world(
  { admits, ...options }: WorldOptions = {},
  plan: (call: FaultyCall, at: number) => Fault = () => undefined,
  processes = 1,
  mend: Mend = (store) => store,
): World {
  const clock = manualClock()
  const shared = mend(memoryStore({ wallMs: clock.wallMs, monotonicMs: clock.monotonicMs }), clock)
  const exchanges = Array.from({ length: processes }, (_, at) => {
    const engine = new Engine({
      store: faultyStore(shared, (call) => plan(call, at)),
      clock,
      random: systemRandom,
      digest: nodeDigest,
      skewMs: 2_000,
      pepper: new Uint8Array(32),
    })
    return new Exchange(engine, { decode: () => undefined, stream: () => undefined }, (error) => {
      throw error
    })
  })
  const policy = policyOf({ onAbandoned: options.onAbandoned ?? 'reexecute', failOpen: options.failOpen ?? false })
  const route: RouteOptions = { ...routeDefaults, ...options, policy }
  const calls: UpstreamPlayed[] = []
  let requests = 0
  const send = (asked: Sent | string | undefined): ReturnType<World['send']> => {
    const sent: Sent = typeof asked === 'string' ? { key: asked } : (asked ?? {})
    const { key, path = '/v1/chat/completions', body = '{"a":1}', count, as = 'Bearer x', at = 0 } = sent
    const headers = ['Authorization', as, 'Content-Type', 'application/json']
    if (key !== undefined) headers.push('Idempotency-Key', key)
    if (count !== undefined) headers.push('X-Stainless-Retry-Count', String(count))
    const request = { method: 'POST', path, query: '', headers, body: utf8.encode(body) }
    const plan = planOf(request, route)
    if (plan.kind !== 'cover') throw new Error(`not covered: ${plan.status}`)
    const caller = new Got()
    const number = requests++
    const dispatch = (events: UpstreamEvents) => {
      const call = { events, request: number, aborted: false }
      calls.push(call)
      return {
        pause: () => undefined,
        resume: () => undefined,
        abort: () => {
          call.aborted = true
        },
      }
    }
    const exchange = exchanges[at]
    if (exchange === undefined) throw new Error(`no process ${at}`)
    return { caller, done: exchange.handle({ plan, route, request, caller, dispatch, admits }) }
  }
  const answer: World['answer'] = (events, text = '{"ok":true}', status = 200) => {
    events.head(status, ['Content-Type', 'application/json', 'Content-Length', String(text.length)])
    events.data(utf8.encode(text))
    events.end([])
  }
  const stream: World['stream'] = (events, ...parts) => {
    events.head(200, ['Content-Type', 'text/event-stream', 'Transfer-Encoding', 'chunked'])
    for (const part of parts) events.data(utf8.encode(part))
  }
  return { clock, send, calls, answer, stream }
}
