/** One host for the covered requests of an app: engine, exchange, options and the limits of its bodies; knows no framework. */
import type { Clock } from '../core/clock.ts'
import type { Encryption } from '../core/encryption.ts'
import { Engine } from '../core/engine.ts'
import { IdempotencyError } from '../core/errors.ts'
import type { Observer } from '../core/events.ts'
import type { Instrument, Observable } from '../core/instrument.ts'
import { pepperUnlessOpen } from '../core/pepper.ts'
import { type PolicyOptions, policyOf } from '../core/policy.ts'
import type { Random } from '../core/random.ts'
import type { Platform } from '../core/run.ts'
import type { Store } from '../core/store.ts'
import { BodyRoom } from './body-room.ts'
import type { Dispatch, HttpCaller } from './caller.ts'
import { Exchange, type Exchanged } from './exchange.ts'
import type { RawHeaders } from './headers.ts'
import { ObservedAccount } from './observed.ts'
import { refuse } from './refuse.ts'
import type { Codings } from './replay.ts'
import { type Plan, planOf, type RouteOptions, routeDefaults } from './route.ts'
import { givenTenant } from './tenant.ts'

/** Options that may differ by route; `Request` is the framework's own. */
export interface HttpRouteOptions<Request>
  extends Partial<PolicyOptions>,
    Partial<Omit<RouteOptions, 'policy' | 'covered' | 'tenantHeader'>> {
  /**
   * Whose request it is, from the app's own authentication; replaces the digest of the credential. Answering nothing is
   * `tenant_required` for a request with a key.
   */
  tenant?(request: Request): string | undefined | Promise<string | undefined>
}

/** Options of every adapter. */
export interface HttpOptions<Request> extends Omit<HttpRouteOptions<Request>, 'onAbandoned'>, PolicyOptions {
  readonly store: Store
  /** 32 bytes shared by all processes of the store; else the store keeps one. */
  readonly pepper?: Uint8Array
  /** Encrypts outcomes in the store. Default: they are kept in clear. */
  readonly encryption?: Encryption
  readonly observer?: Observer
  /** Most bytes that the steps of one operation make together. Default 1 MiB, at most 16 MiB. */
  readonly maxStepBytes?: number
  /** Hears what nobody foresaw; the caller is told that there is something in the log. Default: `console.error`. */
  failed?(error: unknown): void
  /** Told of the host once it is made: `observe` of `oncekey/otel`. */
  observe?(host: Observable): void
  /** In place of the system's, for tests. */
  readonly clock?: Clock
  readonly random?: Random
}

/** One request, as an adapter presents it. */
export interface Hosted<Request> {
  /** The framework's own, for `tenant`. */
  readonly request: Request
  readonly method: string
  /** Path and query as the client sent them. */
  readonly target: string
  readonly headers: RawHeaders
  readonly caller: HttpCaller
  /** The body, whole, and the headers that describe it; undefined when the caller hung up before its end. */
  body(room: BodyRoom): Promise<HostedBody | undefined>
  readonly dispatch: Dispatch
}

/** What an adapter has read, or made of what a parser has. */
export interface HostedBody {
  readonly headers: RawHeaders
  readonly body: Uint8Array
}

interface Route<Request> {
  readonly options: RouteOptions
  readonly tenant: HttpRouteOptions<Request>['tenant']
}

interface Decided {
  readonly plan: Extract<Plan, { kind: 'cover' }>
  readonly tenant: string | undefined
}

/** Makes an app's requests idempotent. One for a set of options; close it at the end. */
export class Host<Request> {
  readonly clock: Clock
  readonly #engine: Engine
  readonly #exchange: Exchange
  readonly #base: HttpOptions<Request>
  readonly #routes = new WeakMap<object, Route<Request>>()
  #closing = false

  /** Throws IdempotencyError (`config_invalid`) for options that cannot be right. */
  constructor(options: HttpOptions<Request>, platform: Platform, codings: Codings) {
    this.#base = options
    const { policy } = this.#route(options).options
    const { store, observer, pepper, encryption, failed } = options
    this.clock = options.clock ?? platform.clock
    this.#engine = new Engine({
      clock: this.clock,
      random: options.random ?? platform.random,
      digest: platform.digest,
      store,
      skewMs: policy.skewMs,
      ...(platform.steps === undefined ? {} : { steps: platform.steps }),
      ...(observer === undefined ? {} : { observer }),
      ...(pepper === undefined ? {} : { pepper }),
      ...(encryption === undefined ? {} : { encryption }),
    })
    this.#exchange = new Exchange(this.#engine, codings, failed ?? reportToConsole)
    options.observe?.(this)
  }

  /**
   * Answers the request, or says that the handler is to run unprotected, and why. Never rejects. `overrides` are the
   * route's own options, the same object each time.
   */
  async handle(
    hosted: Hosted<Request>,
    overrides?: HttpRouteOptions<Request>,
  ): Promise<'answered' | 'ignored' | 'bypassed'> {
    const { caller, target } = hosted
    const [path = '/', query = ''] = split(target)
    const room = new BodyRoom()
    let key: string | undefined
    try {
      const route = this.#route(overrides ?? this.#base)
      const head = { method: hosted.method, headers: hosted.headers, query }
      const plan = planOf(route.tenant === undefined ? head : { ...head, tenant: 'asked for below' }, route.options)
      if (plan.kind === 'pass') return plan.status
      key = plan.echo
      if (this.#closing) throw shuttingDown()
      const decided = await this.#decide(plan, route, hosted.request)
      if (decided === undefined) return 'ignored'
      if ((await pepperUnlessOpen(this.#engine.ready(), route.options.policy.failOpen)) === undefined) return 'bypassed'
      room.most = route.options.maxBodyBytes
      const read = await hosted.body(room)
      if (read === undefined) return 'answered'
      const { tenant } = decided
      const done = await this.#observed({
        plan,
        route: route.options,
        request: { method: hosted.method, path, query, headers: read.headers, body: read.body },
        caller,
        dispatch: hosted.dispatch,
        ...(tenant === undefined ? {} : { tenant }),
      })
      return done === 'bypass' ? 'bypassed' : 'answered'
    } catch (error) {
      refuse(caller, this.#exchange.refusalOf(error), { path }, { key, waitSeconds: undefined })
      return 'answered'
    } finally {
      room.release()
    }
  }

  /** Puts an instrument around all covered requests from now on. */
  observe(instrument: Instrument): void {
    this.#engine.observe(instrument)
  }

  #observed(exchanged: Exchanged): Promise<'handled' | 'bypass'> {
    const { instrument } = this.#engine
    if (instrument === undefined) return this.#exchange.handle(exchanged)
    return instrument.operation('http', async (tell) => {
      const account = new ObservedAccount(instrument, tell)
      const done = await this.#exchange.handle({
        ...exchanged,
        account,
        dispatch: account.dispatched(exchanged.dispatch),
      })
      if (done === 'bypass') tell({ status: 'bypassed' })
      return done
    })
  }

  /** Takes no new covered request, tells running handlers (`signal`) and waits for them. Close the store afterwards. */
  close(): Promise<void> {
    this.#closing = true
    return this.#engine.close()
  }

  async #decide(plan: Decided['plan'], route: Route<Request>, request: Request): Promise<Decided | undefined> {
    if (route.tenant === undefined) return { plan, tenant: undefined }
    const tenant = await route.tenant(request)
    // Without a key and a principal nobody can tell whose retry it would be.
    if (!tenant && plan.key === undefined) return undefined
    // An empty name is refused here, before the body is read.
    if (!tenant) givenTenant('')
    return { plan, tenant }
  }

  #route(given: HttpRouteOptions<Request>): Route<Request> {
    const known = this.#routes.get(given)
    if (known !== undefined) return known
    const merged: HttpOptions<Request> = given === this.#base ? this.#base : { ...this.#base, ...defined(given) }
    const { tenant, classify, dangerouslyAllowAnonymous } = merged
    const options: RouteOptions = {
      covered: true,
      policy: policyOf(pick(merged, policyNames) as unknown as PolicyOptions),
      ...(pick({ ...routeDefaults, ...defined(merged) }, routeNames) as Omit<RouteOptions, 'policy' | 'covered'>),
      ...(classify === undefined ? {} : { classify }),
      ...(dangerouslyAllowAnonymous === undefined ? {} : { dangerouslyAllowAnonymous }),
    }
    const route = { options, tenant }
    this.#routes.set(given, route)
    return route
  }
}

const routeNames = Object.keys(routeDefaults).filter((name) => name !== 'covered')
const policyNames = ['onAbandoned', 'leaseMs', 'retentionMs', 'tombstoneMs', 'skewMs', 'waitMs', 'failOpen']

function pick(from: object, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)))
}

function defined<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options
}

function split(target: string): string[] {
  const at = target.indexOf('?')
  return at < 0 ? [target] : [target.slice(0, at), target.slice(at + 1)]
}

function reportToConsole(error: unknown): void {
  console.error('oncekey: a request failed inside the idempotency layer:', error)
}

function shuttingDown(): IdempotencyError {
  return new IdempotencyError('shutting_down', 'The server is shutting down. Come back with the same key.')
}
