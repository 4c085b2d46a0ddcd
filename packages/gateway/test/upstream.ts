/** Upstreams that a test scripts, over HTTP or byte by byte. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net'

/** One request as the upstream saw it. */
export interface UpstreamCall {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Resolves when the connection of this call is closed or its answer has been sent. */
  readonly closed: Promise<void>
}

/** An upstream that a test scripts; bodies are read before the script runs. */
export class ScriptedUpstream {
  readonly calls: UpstreamCall[] = []
  script: (call: UpstreamCall, count: number) => void = ({ response }, count) => json(response, { count })
  readonly server: Server
  url = ''
  #arrived: (() => void)[] = []

  constructor() {
    this.server = createServer({ keepAliveTimeout: 60_000, maxHeaderSize: 128 * 1024 }, (request, response) => {
      response.on('error', () => undefined)
      void bodyOf(request).then((body) => this.#take(request, response, body))
    })
    // Node drops what comes after the 1,000th field.
    this.server.maxHeadersCount = 0
  }

  #take(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const closed = new Promise<void>((resolve) => response.on('close', () => resolve()))
    const { method = '', url = '', rawHeaders, headers } = request
    const call: UpstreamCall = { method, url, rawHeaders, headers, body, request, response, closed }
    this.calls.push(call)
    this.script(call, this.calls.length)
    for (const arrived of this.#arrived.splice(0)) arrived()
  }

  /** The call with this number, from 1, once it has arrived. */
  async call(count = 1): Promise<UpstreamCall> {
    while (this.calls.length < count) await new Promise<void>((resolve) => this.#arrived.push(resolve))
    return this.calls[count - 1] as UpstreamCall
  }

  /** Forgets the calls and answers from now on by `script`, or by a counter. */
  reset(script?: ScriptedUpstream['script']): void {
    this.calls.length = 0
    this.script = script ?? (({ response }, count) => json(response, { count }))
  }

  close(): void {
    this.server.close()
    this.server.closeAllConnections()
  }
}

export async function startUpstream(script?: ScriptedUpstream['script']): Promise<ScriptedUpstream> {
  const upstream = new ScriptedUpstream()
  if (script !== undefined) upstream.script = script
  upstream.server.listen(0, '127.0.0.1')
  await once(upstream.server, 'listening')
  upstream.url = `http://127.0.0.1:${(upstream.server.address() as AddressInfo).port}`
  return upstream
}

/** An upstream of bytes: `serve` gets each connection once a whole request (head and sized body) is there. */
export interface RawUpstream {
  readonly url: string
  readonly requests: string[]
  serve: (socket: Socket, request: string) => void
  close(): void
}

export async function startRawUpstream(serve: RawUpstream['serve']): Promise<RawUpstream> {
  const sockets = new Set<Socket>()
  const server: NetServer = createNetServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let taken = ''
    socket.on('data', (bytes) => {
      taken += bytes.toString('latin1')
      const head = taken.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/content-length: *(\d+)/i.exec(taken.slice(0, head))?.[1] ?? 0)
      if (taken.length < head + 4 + length) return
      const request = taken.slice(0, head + 4 + length)
      taken = taken.slice(request.length)
      upstream.requests.push(request)
      upstream.serve(socket, request)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const upstream: RawUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    serve,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  return upstream
}

/** Answers with JSON and a length. */
export function json(
  response: ServerResponse,
  value: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(JSON.stringify(value))
  const fields = { 'Content-Type': 'application/json', 'Content-Length': body.length, ...headers }
  // One by one, so that another spelling of a name replaces the first.
  for (const [name, value] of Object.entries(fields)) response.setHeader(name, value)
  response.writeHead(status)
  response.end(body)
}

/** Begins an event stream; the test writes its events. */
export function beginEvents(response: ServerResponse, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', ...headers })
  response.flushHeaders()
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  request.on('error', () => undefined)
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise((resolve) => request.on('close', resolve))
  return Buffer.concat(chunks)
}
