/** The pretend provider as a server: it reads, bills, answers, and misbehaves on demand. */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Answer, type Asked, errorValue, eventCount } from './answer.ts'
import { type Behaviour, parseBehaviour } from './behaviour.ts'
import { deliver } from './delivery.ts'
import { Kept } from './kept.ts'
import { Ledger, type OpenCall, pretendPriceUsd, type SandboxCall } from './ledger.ts'
import { readRequest, type SandboxRequest } from './request.ts'
import { type Endpoint, endpointOf } from './routes.ts'

/** A pretend provider that runs. */
export interface Sandbox {
  /** Without a trailing slash; a client's base URL is this and `/v1`. */
  readonly url: string
  readonly port: number
  readonly calls: readonly SandboxCall[]
  /** The next calls, one each, behave so; words as in the `x-sandbox` header, `ok` for nothing. Throws on an unknown word. */
  plan(behaviours: readonly string[]): void
  billUsd(): number
  /** What it has made: `batch` and `message_batch`. */
  readonly kept: Kept
  /** Forgets calls, bill and plan. Calls that run go on unseen. */
  reset(): void
  /** Cuts what runs. */
  close(): Promise<void>
}

/** Where it listens and how slow it is. */
export interface SandboxOptions {
  /** Default: a free one. */
  readonly port?: number
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Before each head that has no `delay` of its own, ms. Default 0. */
  readonly latencyMs?: number
}

/** Starts a pretend provider; resolves when it accepts connections, rejects when it cannot. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { port: wanted = 0, host = '127.0.0.1', latencyMs = 0 } = options
  const provider = new Provider(latencyMs)
  const server = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0, noDelay: true }, (message, response) => {
    provider.serve(message, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(wanted, host, () => resolve())
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    get calls() {
      return provider.ledger.calls
    },
    plan: (behaviours) => provider.plan(behaviours),
    billUsd: () => provider.ledger.billUsd(),
    kept: provider.kept,
    reset: () => provider.reset(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

class Provider {
  readonly ledger: Ledger = new Ledger()
  readonly kept: Kept = new Kept()
  readonly #latencyMs: number
  #planned: Behaviour[] = []

  constructor(latencyMs: number) {
    this.#latencyMs = latencyMs
  }

  plan(behaviours: readonly string[]): void {
    this.#planned.push(...behaviours.map(parseBehaviour))
  }

  reset(): void {
    this.ledger.reset()
    this.kept.reset()
    this.#planned = []
  }

  async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (message.url?.startsWith('/__sandbox/')) return this.#control(message, response)
    let request: SandboxRequest
    try {
      request = await readRequest(message)
    } catch {
      // The body never came whole, so there is nothing to work on and nothing to bill.
      return void response.destroy()
    }
    await this.#answer(request, response)
  }

  async #answer(request: SandboxRequest, response: ServerResponse): Promise<void> {
    const id = randomBytes(12).toString('hex')
    const endpoint = endpointOf(request.method, request.path)
    const planned = this.#planned.shift()
    const asked = behaviourOf(request, planned, this.#latencyMs)
    const behaviour = asked instanceof RangeError ? {} : asked
    const refusal = refusalOf(asked, endpoint, request)
    const output = endpoint.saysNothing === true ? 0 : 4 * eventCount(behaviour)
    const tokens = { input: Math.ceil(request.bodyBytes / 4), output }
    const failing = refusal !== undefined || (behaviour.status ?? 200) >= 400
    const costUsd = endpoint.billed && (!failing || behaviour.billed === true) ? pretendPriceUsd(tokens) : 0
    const { json: _, model: __, marker, ...sent } = request
    const call = this.ledger.open({
      ...sent,
      ...(marker === undefined ? {} : { marker }),
      startedAt: Date.now(),
      costUsd,
    })
    const answer = answerOf({ n: call.n, id, request, behaviour, tokens, kept: this.kept }, endpoint, refusal)
    const gone = watch(response, call)
    const headers = headersOf(endpoint, behaviour, call, id)
    await deliver(response, { call, id, answer, behaviour, headers, gone: gone.signal, onCut: gone.cut }).catch(
      (error: unknown) => {
        if (!gone.signal.aborted) throw error
      },
    )
  }

  async #control(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, path, json } = await readRequest(message)
    const send = (status: number, value: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    }
    const what = `${method} ${path.split('?', 1)[0]}`
    if (what === 'GET /__sandbox/calls') return send(200, { billUsd: this.ledger.billUsd(), calls: this.ledger.calls })
    if (what === 'POST /__sandbox/reset') {
      this.reset()
      return send(200, {})
    }
    if (what !== 'POST /__sandbox/plan') return send(404, { error: { message: `The sandbox has no ${what}.` } })
    try {
      if (!Array.isArray(json?.plan)) throw new RangeError('The body has to be {"plan": ["status=429", …]}.')
      this.plan(json.plan.map(String))
      send(200, { planned: this.#planned.length })
    } catch (error) {
      send(400, { error: { message: error instanceof Error ? error.message : String(error) } })
    }
  }
}

/** What is planned, overridden by what the request itself asks for. */
function behaviourOf(
  request: SandboxRequest,
  planned: Behaviour | undefined,
  latencyMs: number,
): Behaviour | RangeError {
  try {
    const own = parseBehaviour(request.headers['x-sandbox'] ?? '')
    return { ...(latencyMs > 0 ? { delayMs: latencyMs } : {}), ...planned, ...own }
  } catch (error) {
    if (error instanceof RangeError) return error
    throw error
  }
}

/** Why the request is answered with 400, if it is. */
function refusalOf(asked: Behaviour | RangeError, endpoint: Endpoint, request: SandboxRequest): string | undefined {
  if (asked instanceof RangeError) return asked.message
  if (endpoint.wantsJson && request.json === undefined) return 'The body is no JSON object.'
  return undefined
}

function answerOf(asked: Asked, endpoint: Endpoint, refusal: string | undefined): Answer {
  const error = (status: number, message: string): Answer => ({
    kind: 'json',
    status,
    value: errorValue(endpoint.dialect, status, message, asked.id),
  })
  if (refusal !== undefined) return error(400, refusal)
  const { status = 200 } = asked.behaviour
  return status >= 400
    ? error(status, `The pretend provider answers call ${asked.n} with ${status}.`)
    : endpoint.answer(asked)
}

/** What real providers send along, of which a replay may keep some and must not keep the rest. */
function headersOf(endpoint: Endpoint, behaviour: Behaviour, call: OpenCall, id: string): Record<string, string> {
  const { retryAfter, retryAfterMs, shouldRetry } = behaviour
  return {
    'x-request-id': `req_${id}`,
    'request-id': `req_${id}`,
    ...rateLimitsOf(endpoint, behaviour, call),
    'set-cookie': `__sandbox=${id}; path=/; HttpOnly`,
    ...(endpoint.dialect === 'openai' ? { 'openai-processing-ms': '7', 'openai-version': '2020-10-01' } : {}),
    ...(endpoint.dialect === 'anthropic' ? { 'anthropic-organization-id': 'org-sandbox' } : {}),
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    ...(retryAfterMs === undefined ? {} : { 'retry-after-ms': retryAfterMs }),
    ...(shouldRetry === undefined ? {} : { 'x-should-retry': shouldRetry }),
  }
}

/** What is left, and when there is more: OpenAI says how long that takes, Anthropic at what time it is. */
function rateLimitsOf(endpoint: Endpoint, behaviour: Behaviour, call: OpenCall): Record<string, string> {
  const { remaining = Math.max(0, 10_000 - call.n), resetMs } = behaviour
  if (endpoint.dialect !== 'anthropic')
    return {
      'x-ratelimit-remaining-requests': String(remaining),
      ...(resetMs === undefined ? {} : { 'x-ratelimit-reset-requests': `${resetMs}ms` }),
    }
  const at = new Date(Date.now() + (resetMs ?? 0)).toISOString()
  return {
    'anthropic-ratelimit-requests-remaining': String(remaining),
    ...(resetMs === undefined ? {} : { 'anthropic-ratelimit-requests-reset': at }),
  }
}

/** Writes into the call how its answer ended. */
function watch(response: ServerResponse, call: OpenCall): { readonly signal: AbortSignal; readonly cut: () => void } {
  const gone = new AbortController()
  let cutByUs = false
  const over = (): void => {
    call.endedAt = Date.now()
    call.aborted = !response.writableFinished && !cutByUs
    gone.abort()
  }
  // A client that went away while its body was being looked at has closed already.
  if (response.destroyed) over()
  else response.once('close', over)
  return {
    signal: gone.signal,
    cut: () => {
      cutByUs = true
    },
  }
}
