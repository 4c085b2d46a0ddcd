/** Front doors that break one rule of the contract each: an intact one with something wrong around it. */
import type { WantedOptions } from '../../../src/testing/index.ts'

/** A fetch handler. */
export type Serve = (request: Request) => Promise<Response>

type Around = (serve: Serve) => Serve

/** What is wrong: with the options it is made with, or with what goes through it. */
export interface Defect {
  options?(wanted: WantedOptions): WantedOptions
  readonly around?: Around
}

/** The request with other headers or another body. */
async function altered(request: Request, headers: Record<string, string>, body?: BodyInit): Promise<Request> {
  const all = new Headers(request.headers)
  for (const [name, value] of Object.entries(headers)) all.set(name, value)
  const bytes = body ?? (request.body === null ? null : await request.arrayBuffer())
  return new Request(request.url, { method: request.method, headers: all, body: bytes, signal: request.signal })
}

function answered(
  response: Response,
  change: { status?: number; body?: BodyInit | null; headers?: [string, string][] },
): Response {
  const headers = new Headers(response.headers)
  for (const [name, value] of change.headers ?? []) headers.append(name, value)
  if (change.body !== undefined) headers.delete('content-length')
  const body = 'body' in change ? change.body : response.body
  return new Response(body ?? null, { status: change.status ?? response.status, headers })
}

const isReplay = (response: Response): boolean => response.headers.get('idempotent-replayed') === 'true'

/** The body, with an end where it breaks off. */
function endingCleanly(response: Response): Response {
  const reader = response.body?.getReader()
  const body = new ReadableStream({
    async pull(controller) {
      const read = await reader?.read().catch(() => undefined)
      if (read === undefined || read.done) controller.close()
      else controller.enqueue(read.value)
    },
  })
  return answered(response, { body })
}

const onRequest =
  (change: (request: Request) => Promise<Request>): Around =>
  (serve) =>
  async (request) =>
    serve(await change(request))

const onResponse =
  (change: (response: Response, request: Request) => Response | Promise<Response>): Around =>
  (serve) =>
  async (request) =>
    change(await serve(request), request)

/** By the number of the cases that each must fail. */
export const defects: Readonly<Record<string, Readonly<Record<string, Defect>>>> = {
  H1: {
    'compares bytes': {
      around: onRequest(async (request) => {
        const text = await request.clone().text()
        return altered(request, { 'Idempotency-Key': `k${text.length}` })
      }),
    },
  },
  H2: {
    'reads bodies as text': { around: onRequest(async (request) => altered(request, {}, await request.text())) },
    'undoes codings and does not say so': {
      around: onRequest((request) => altered(request, { 'Content-Encoding': '' })),
    },
  },
  H3: {
    'does not look at bodies': { around: onRequest((request) => altered(request, {}, '{}')) },
    'loses the method': {
      around: (serve) => (request) =>
        serve(new Request(request.url, { method: 'POST', headers: request.headers, body: '{}' })),
    },
  },
  H4: {
    'replays every status as 200': {
      around: onResponse((response) => (isReplay(response) ? answered(response, { status: 200 }) : response)),
    },
    'reads answers as text': {
      around: onResponse(async (response) =>
        isReplay(response) && response.body !== null ? answered(response, { body: await response.text() }) : response,
      ),
    },
  },
  H5: {
    'replays cookies': {
      around: onResponse((response) =>
        isReplay(response) ? answered(response, { headers: [['Set-Cookie', 'a=1']] }) : response,
      ),
    },
    'forgets the date of the original': {
      around: onResponse((response) => {
        response.headers.delete('idempotency-original-date')
        return response
      }),
    },
  },
  H6: {
    'records whatever came first': {
      around: (serve) => {
        const first = new Map<string | null, Response>()
        return async (request) => {
          const known = first.get(request.headers.get('idempotency-key'))
          if (known !== undefined) return known.clone()
          const response = await serve(request)
          first.set(request.headers.get('idempotency-key'), response.clone())
          return response
        }
      },
    },
  },
  H7: {
    'executes again whatever was chosen': { options: (wanted) => ({ ...wanted, onAbandoned: 'reexecute' }) },
    'never executes again': { options: (wanted) => ({ ...wanted, onAbandoned: 'unknown' }) },
  },
  H8: {
    'ends cleanly what has broken off': { around: onResponse(endingCleanly) },
    'swallows errors': {
      around: (serve) => async (request) => serve(request).catch(() => new Response('fine', { status: 200 })),
    },
  },
  H9: {
    'adds to streams': {
      around: onResponse(async (response) => {
        if (response.headers.get('content-type') !== 'text/event-stream') return response
        const isRecorded = response.headers.get('idempotency-status') === 'replayed'
        return isRecorded ? answered(response, { body: `id: ours\n${await response.text()}` }) : response
      }),
    },
    'says that who joins has executed': {
      around: onResponse((response) => {
        if (response.headers.get('idempotency-status') === 'joined')
          response.headers.set('idempotency-status', 'executed')
        return response
      }),
    },
  },
  H10: {
    'ends long bodies early': {
      around: onResponse(async (response) =>
        response.body === null ? response : answered(response, { body: (await response.arrayBuffer()).slice(0, 1e6) }),
      ),
    },
    'knows no limit': {
      options: ({ maxBodyBytes: _body, maxOutcomeBytes: _outcome, ...wanted }) => wanted,
    },
  },
  H11: {
    'stops when the caller leaves': { options: (wanted) => ({ ...wanted, onDisconnect: 'abort' }) },
  },
  H12: {
    'ends cleanly for those who joined': {
      around: onResponse((response) => (isReplay(response) ? endingCleanly(response) : response)),
    },
  },
  H13: {
    'executes every second duplicate': {
      around: (serve) => {
        let requests = 0
        return async (request) => {
          const isOdd = requests++ % 2 === 1 && !request.headers.has('prefer')
          return serve(isOdd ? await altered(request, { 'Idempotency-Key': `k${requests}` }) : request)
        }
      },
    },
    'waits whatever it is told': { around: onRequest((request) => altered(request, { Prefer: 'wait=1' })) },
  },
  H15: {
    'takes every key': { around: onRequest((request) => altered(request, { 'Idempotency-Key': 'k' })) },
  },
  H16: {
    'does not ask who it is': {
      around: onRequest((request) => altered(request, { Authorization: 'Bearer all', 'X-User': 'all' })),
    },
  },
  H17: {
    'makes up keys': {
      around: onRequest((request) =>
        request.method === 'POST' ? altered(request, { 'Idempotency-Key': 'k' }) : Promise.resolve(request),
      ),
    },
    'covers every method': { options: (wanted) => ({ ...wanted, methods: ['POST', 'PUT', 'DELETE'] }) },
  },
}
