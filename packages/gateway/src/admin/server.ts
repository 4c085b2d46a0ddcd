/** The admin side's own server: who may ask, which path is what, and answers as JSON or problem documents. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AdminAnswer, type Asked, checkedQuery, textOf } from './asked.ts'
import { live, type Phase, ready, StoreProbe } from './health.ts'
import { AdminError, adminProblems, problemOf } from './problem.ts'
import { Records, type RecordsParts } from './records.ts'
import { spending } from './spending.ts'
import { carries } from './token.ts'

/** What the admin side is made of. */
export interface AdminParts extends RecordsParts {
  readonly token: string
  readonly phase: () => Phase
  /** In Prometheus' text format, of all processes of this gateway. */
  readonly metrics: () => Promise<string>
  /** Hears what nobody foresaw. */
  readonly failed: (error: unknown) => void
}

interface Path {
  readonly pattern: RegExp
  /** Whoever can reach the port may ask. */
  readonly open?: true
  readonly methods: Readonly<Record<string, (asked: Asked) => Promise<AdminAnswer>>>
}

/** Prometheus' text format (its documentation, Exposition formats). */
const metricsType = 'text/plain; version=0.0.4; charset=utf-8'

/** The admin side; listens once its server does. */
export class AdminServer {
  readonly server: Server
  readonly #parts: AdminParts
  readonly #paths: readonly Path[]

  constructor(parts: AdminParts) {
    this.#parts = parts
    this.#paths = pathsOf(parts)
    this.server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 })
    this.server.on('request', (request, response) => void this.#serve(request, response))
  }

  close(): void {
    this.server.close()
    this.server.closeAllConnections()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    let answer: AdminAnswer
    try {
      answer = await this.#answer(request, response)
    } catch (error) {
      answer = this.#refusal(error, request.url ?? '')
    }
    const { status, body, type = 'application/json' } = answer
    const bytes = Buffer.from(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`)
    response.writeHead(status, { 'Content-Type': type, 'Content-Length': bytes.length, 'Cache-Control': 'no-store' })
    response.end(bytes)
  }

  #answer(request: IncomingMessage, response: ServerResponse): Promise<AdminAnswer> {
    const { method = '', url = '' } = request
    const [place = '', query = ''] = url.split('?', 2)
    const found = this.#paths.find(({ pattern }) => pattern.test(place))
    // What needs a token does not even say which paths there are.
    if (found?.open !== true && !carries(request.headers.authorization, this.#parts.token)) {
      response.setHeader('WWW-Authenticate', 'Bearer')
      throw new AdminError('token_required', 'Send the admin token: Authorization: Bearer TOKEN.')
    }
    if (found === undefined) throw new AdminError('not_found', 'There is nothing at this path of the admin side.')
    const asks = found.methods[method === 'HEAD' ? 'GET' : method]
    if (asks === undefined) {
      response.setHeader('Allow', Object.keys(found.methods).join(', '))
      throw new AdminError('method_not_allowed', `This path takes ${Object.keys(found.methods).join(' and ')}.`)
    }
    return asks({
      operand: found.pattern.exec(place)?.[1] ?? '',
      query: new URLSearchParams(query),
      who: `admin ${request.socket.remoteAddress ?? 'unknown'}`,
      text: () => textOf(request),
    })
  }

  #refusal(error: unknown, url: string): AdminAnswer {
    const known = error instanceof AdminError ? error : this.#unforeseen(error, url)
    return { status: adminProblems[known.code].status, body: problemOf(known), type: 'application/problem+json' }
  }

  /** What is asked of the store fails with it. */
  #unforeseen(error: unknown, url: string): AdminError {
    this.#parts.failed(error)
    if (!url.startsWith('/v1/')) return new AdminError('internal', 'The admin side failed; the log has the reason.')
    return new AdminError('store_unavailable', 'The store did not answer, or refused; the log has the reason.')
  }
}

function pathsOf(parts: AdminParts): readonly Path[] {
  const records = new Records(parts)
  const probe = new StoreProbe(parts.engine)
  const metrics = async ({ query }: Asked): Promise<AdminAnswer> => {
    checkedQuery(query, [])
    return { status: 200, body: await parts.metrics(), type: metricsType }
  }
  return [
    { pattern: /^\/healthz$/, open: true, methods: { GET: live } },
    { pattern: /^\/readyz$/, open: true, methods: { GET: () => ready(parts.phase, probe) } },
    { pattern: /^\/metrics$/, methods: { GET: metrics } },
    { pattern: /^\/v1\/records$/, methods: { GET: (asked) => records.list(asked) } },
    {
      pattern: /^\/v1\/records\/([^/]+)$/,
      methods: { GET: (asked) => records.show(asked), DELETE: (asked) => records.remove(asked) },
    },
    { pattern: /^\/v1\/records\/([^/]+)\/resolve$/, methods: { POST: (asked) => records.resolve(asked) } },
    { pattern: /^\/v1\/records\/([^/]+)\/release$/, methods: { POST: (asked) => records.release(asked) } },
    { pattern: /^\/v1\/ledger$/, methods: { GET: (asked) => spending(parts.engine, asked) } },
  ]
}
