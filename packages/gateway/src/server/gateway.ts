/** The proxy: takes requests from node:http, brings covered ones to the exchange and passes the others through. */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import { Server as NetServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { Server as SecureNetServer } from 'node:tls'
import { type Exchange, type Plan, planOf, refuse, systemClock } from 'oncekey/http'
import { getBehind, passThrough, upgrade } from '../forward/index.ts'
import type { Ledger, RequestAccount } from '../ledger/index.ts'
import { BodyBudget, type HeldBody } from './body.ts'
import { NodeCaller } from './caller.ts'
import { Connections } from './connections.ts'
import { declineUpgrade, isWebSocket } from './decline.ts'
import { type Limits, processLimits } from './limits.ts'
import type { Served, ServedObserver } from './line.ts'
import { createListener, type TlsFiles } from './listener.ts'
import { answerMalformed, isPlain, notPlain } from './malformed.ts'
import { Pace } from './pace.ts'
import { type Guest, Quota } from './quota.ts'
import { shuttingDown, tooMany } from './refusals.ts'
import { type Destinations, headersFor, type Routed, routedOf } from './routed.ts'
import { optionsFor, targetOf } from './routing.ts'
import { isUpload, spool } from './spool.ts'
import { TimedCall } from './timed.ts'

/** What a gateway is made of. */
export interface GatewayParts extends Destinations {
  readonly exchange: Exchange
  readonly ledger: Ledger
  /** Undefined where nobody wants to know. */
  readonly served: ServedObserver | undefined
  /** Undefined: plain HTTP. */
  readonly tls: TlsFiles | undefined
  /** Most requests of one tenant in this process; undefined: as many as of all. */
  readonly tenantRequests: number | undefined
}

/** How often slow connections are looked for. */
const paceMs = 5_000

/** A client that has nothing to ask for so long takes a new connection next time, and sees this one end. */
const retiredIdleMs = 2_000

/** What becomes known of a request on its way. */
interface Asked {
  /** Its key, for the echo. */
  key: string | undefined
  routed: Routed | undefined
  account: RequestAccount | undefined
  call: TimedCall | undefined
  /** Where tenants have quotas, once it has been let in. */
  guest: Guest | undefined
}

/** A gateway that listens once `listen` has resolved. */
export class Gateway {
  readonly server: Server | SecureServer
  readonly #parts: GatewayParts
  readonly #limits: Limits
  readonly #budget: BodyBudget
  readonly #pace: Pace
  readonly #quota: Quota | undefined
  readonly #tunnels = new Set<Duplex>()
  readonly #connections: Connections
  #stopping = false
  #retiring = false
  #idle: (() => void) | undefined

  constructor(parts: GatewayParts, limits: Limits = processLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#budget = new BodyBudget(limits.bodiesBytes)
    this.#pace = new Pace(limits)
    this.#quota = parts.tenantRequests === undefined ? undefined : new Quota(parts.tenantRequests)
    const { tls } = parts
    this.server = createListener(limits, tls)
    this.#connections = new Connections(this.server, tls === undefined ? 'connection' : 'secureConnection')
    this.server.on('request', (request, response) => void this.#serve(request, response))
    this.server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      answerMalformed(error, socket, this.#connections),
    )
    this.#watch(Math.min(paceMs, limits.bodyMs))
  }

  /** Cuts, again and again, who holds a connection by a trickle. */
  #watch(everyMs: number): void {
    systemClock.setTimer(everyMs, () => {
      for (const [socket, connection] of this.#connections) {
        const slow = this.#pace.judge(socket, connection, everyMs)
        if (slow === 'reader') socket.destroy()
        if (slow === 'body') answerMalformed({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket, this.#connections)
      }
      this.#watch(everyMs)
    })
  }

  /** How many requests are being answered. */
  get running(): number {
    return this.#connections.open
  }

  /** Bytes of request bodies in memory. */
  get bodyBytes(): number {
    return this.#budget.held
  }

  /** From now on new connections get this certificate. Only for a gateway that was made with one. */
  secure(tls: TlsFiles): void {
    if (this.server instanceof SecureNetServer) this.server.setSecureContext(tls)
  }

  /**
   * Stops claiming; resolves true when everything has ended, false at the end of the grace. Until then it listens on,
   * since a load balancer that has not heard yet gets an answer that says what to do, where a closed port says nothing.
   */
  async stop(graceMs: number): Promise<boolean> {
    this.#stopping = true
    this.server.closeIdleConnections()
    const idle = new Promise<true>((resolve) => {
      this.#idle = () => resolve(true)
      if (this.#connections.open === 0) resolve(true)
    })
    const over = new Promise<false>((resolve) => void systemClock.setTimer(graceMs, () => resolve(false), true))
    const ended = await Promise.race([idle, over])
    this.server.close()
    this.server.closeAllConnections()
    for (const socket of this.#tunnels) socket.destroy()
    return ended
  }

  /**
   * Takes no new connection and leaves those that are there without a word: requests on them are served, the last one each
   * with `Connection: close`. Resolves when all are closed and
   * all drains have ended, however long that takes.
   */
  async retire(): Promise<void> {
    this.#retiring = true
    // The one of node:http would close idle connections at once, on which a request may be on its way.
    NetServer.prototype.close.call(this.server)
    while (this.#connections.count + this.#connections.open > 0) {
      await new Promise<void>((resolve) => void systemClock.setTimer(250, resolve, true))
      this.#connections.closeIdle(retiredIdleMs)
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#connections.of(request.socket).distrusted) return
    const startedMs = systemClock.monotonicMs()
    const connection = this.#connections.begin(response)
    if (this.#retiring) response.shouldKeepAlive = false
    const method = request.method ?? ''
    const caller = new NodeCaller(response)
    const path = targetOf(request.url ?? '')?.path ?? '/'
    const asked: Asked = { key: undefined, routed: undefined, account: undefined, call: undefined, guest: undefined }
    try {
      if (connection.open > this.#limits.pipelined || this.running > this.#limits.requests) throw tooMany()
      await this.#answer(request, response, caller, asked)
    } catch (error) {
      const known = this.#parts.exchange.refusalOf(error)
      const isLast = !request.complete || known.code === 'body_malformed' || known.code === 'shutting_down'
      if (isLast && !response.headersSent) response.setHeader('Connection', 'close')
      refuse(caller, known, { path }, { key: asked.key, waitSeconds: undefined })
    }
    asked.guest?.leave()
    asked.account?.ended()
    this.#connections.end(connection)
    if (this.#parts.served !== undefined) this.#parts.served(served(method, path, startedMs, caller, asked))
    if (this.#connections.open === 0) this.#idle?.()
  }

  async #answer(request: IncomingMessage, response: ServerResponse, caller: NodeCaller, asked: Asked): Promise<void> {
    if (!isPlain(request)) {
      this.#connections.of(request.socket).distrusted = true
      throw notPlain()
    }
    const routed = routedOf(this.#parts, request)
    asked.routed = routed
    const plan = planOf(
      { method: request.method ?? '', headers: request.rawHeaders, query: routed.place.query },
      routed.route,
    )
    if (plan.kind === 'cover') asked.key = plan.echo
    if (this.#stopping) throw shuttingDown()
    asked.guest = this.#quota?.enter({ headers: request.rawHeaders, query: routed.place.query }, routed.route)
    if (plan.kind === 'pass') return this.#pass(routed, request, response, caller, null, plan.status)
    const { maxBodyBytes, maxUploadBytes } = routed.route
    const read = isUpload(request)
      ? await spool(request, maxUploadBytes)
      : await this.#budget.read(request, maxBodyBytes, asked.guest?.holding)
    if (read === undefined) return
    try {
      await this.#cover(routed, plan, request, response, caller, read, asked)
    } finally {
      read.release()
    }
  }

  async #cover(
    routed: Routed,
    plan: Extract<Plan, { kind: 'cover' }>,
    request: IncomingMessage,
    response: ServerResponse,
    caller: NodeCaller,
    held: HeldBody,
    asked: Asked,
  ): Promise<void> {
    const { name, upstream, target, place } = routed
    const { body, streamed } = held
    const route = optionsFor(routed.match, body)
    const method = request.method ?? ''
    const account = this.#parts.ledger.account({
      upstream: name,
      method,
      path: routed.path,
      headers: request.rawHeaders,
      body,
      streamed,
    })
    asked.account = account
    const done = await this.#parts.exchange.handle({
      plan,
      route,
      request: { method, path: place.path, query: place.query, headers: request.rawHeaders, body, streamed },
      caller,
      account,
      admits: this.#parts.ledger.kept?.admits,
      dispatch: (events, marked) => {
        const headers = headersFor(request, route, held)
        const sent = marked === undefined ? held.send : Buffer.from(marked)
        asked.call = new TimedCall(events)
        return upstream.call({ method, target, headers, body: sent, timeoutMs: route.upstreamTimeoutMs }, asked.call)
      },
      ...(route.policy.onAbandoned === 'reconcile'
        ? { get: getBehind({ upstream, target, headers: headersFor(request, route, null) }) }
        : {}),
    })
    if (done === 'bypass') await this.#pass(routed, request, response, caller, held, 'bypassed')
  }

  async #pass(
    routed: Routed,
    request: IncomingMessage,
    response: ServerResponse,
    caller: NodeCaller,
    held: HeldBody | null,
    status: 'ignored' | 'bypassed',
  ): Promise<void> {
    const { upstream, target, route } = routed
    // A small body goes on in one piece: one write less, and a connect failure can be tried again.
    const length = Number(request.headers['content-length'] ?? 0)
    const small = held === null && length > 0 && length <= this.#limits.onePieceBytes
    const read = small ? await this.#budget.read(request, this.#limits.onePieceBytes) : undefined
    if (small && read === undefined) return
    const here = read ?? held
    const headers = headersFor(request, route, here ?? undefined)
    const timeoutMs = route.upstreamTimeoutMs
    caller.how = status
    const passed = passThrough({
      upstream,
      target,
      headers,
      request,
      response,
      body: here?.send ?? null,
      status,
      timeoutMs,
    })
    return read === undefined ? passed : passed.finally(read.release)
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!isWebSocket(request)) return declineUpgrade(this.server, request, socket, head)
    try {
      if (this.#stopping) throw shuttingDown()
      if (!isPlain(request)) throw notPlain()
      const { upstream, target, route } = routedOf(this.#parts, request)
      const headers = headersFor(request, route, null)
      this.#tunnels.add(socket)
      this.#connections.of(socket).isTunnel = true
      socket.on('close', () => this.#tunnels.delete(socket))
      upgrade({ upstream, target, headers, request, socket, head })
    } catch (error) {
      const { status } = this.#parts.exchange.refusalOf(error)
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    }
  }
}

function served(method: string, path: string, startedMs: number, caller: NodeCaller, asked: Asked): Served {
  const { routed, account, call } = asked
  const ms = systemClock.monotonicMs() - startedMs
  const place = routed === undefined ? undefined : { upstream: routed.name, path: routed.path }
  const { status, wasCut: cut } = caller
  const how = status === 0 ? 'left' : caller.how
  return { method, path, ms, status, how, cut, place, account, call }
}
