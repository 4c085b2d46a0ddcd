/** What the client's tests share: a real server with a script, and a clock that does not wait. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ClientClock } from '../../src/client/web.ts'

/** Answers one request, of which the body has been read. */
export type Answer = (response: ServerResponse, request: Asked) => void

/** A request as it came in. */
export interface Asked {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  readonly key: string | undefined
  readonly body: string
}

/** A server whose answers are given in order; the last one stays. */
export interface Server {
  readonly url: string
  readonly asked: Asked[]
  script(...answers: Answer[]): void
  close(): void
}

/** Starts a server on a free port. */
export async function scripted(): Promise<Server> {
  let answers: Answer[] = []
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    request.on('end', () => {
      const { headers, method = '' } = request
      const one: Asked = { method, headers, key: headers['idempotency-key'] as string | undefined, body }
      asked.push(one)
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      answer?.(response, one)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/things`,
    asked,
    script(...next) {
      answers = next
      asked.length = 0
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** A whole answer. */
export function whole(status: number, headers: Record<string, string> = {}, body = 'done'): Answer {
  return (response) => response.writeHead(status, headers).end(body)
}

/** A connection that breaks before there is an answer. */
export const broken: Answer = (response) => void response.destroy()

/** A body that begins and is cut once its bytes are out. */
export function cut(headers: Record<string, string>, ...pieces: string[]): Answer {
  return (response) => {
    response.writeHead(200, headers)
    for (const piece of pieces) response.write(piece)
    // The bytes are handed to the kernel before the connection goes, and a client gets them before its end.
    response.write('', () => response.socket?.destroySoon())
  }
}

/** Time that goes on by itself when somebody waits for it; `pausesMs` is what was waited for. */
export function hastyClock(wallMs = 1_800_000_000_000): ClientClock & { readonly pausesMs: number[] } {
  const pausesMs: number[] = []
  let nowMs = 0
  return {
    pausesMs,
    wallMs: () => wallMs + nowMs,
    monotonicMs: () => nowMs,
    setTimer(delayMs, fire) {
      pausesMs.push(delayMs)
      nowMs += delayMs
      const timer = setImmediate(fire)
      return { cancel: () => clearImmediate(timer) }
    },
  }
}

/** Chance that is none: the jitter takes nothing away. */
export const noChance = { bytes: (length: number) => new Uint8Array(length).fill(0xab), fraction: () => 0 }
