/** Sends an answer as its call asked for it: late, slow, coded, cut, or never. */
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, tellsUsage } from './answer.ts'
import type { Behaviour } from './behaviour.ts'
import { bodyPieces, contentTypeOf, gzipped, type Piece } from './body.ts'
import type { OpenCall } from './ledger.ts'

/** One answer on its way. */
export interface Delivery {
  readonly call: OpenCall
  readonly id: string
  readonly answer: Answer
  readonly behaviour: Behaviour
  readonly headers: Readonly<Record<string, string>>
  /** The connection has gone; every wait ends. */
  readonly gone: AbortSignal
  /** We cut the connection ourselves, so nobody aborted. */
  readonly onCut: () => void
}

/** Resolves when there is nothing more to send; rejects when the client goes away during a wait. */
export async function deliver(response: ServerResponse, delivery: Delivery): Promise<void> {
  const { behaviour, answer, gone } = delivery
  if (behaviour.delayMs !== undefined) await sleep(behaviour.delayMs, undefined, { signal: gone })
  if (behaviour.hang === true) return forever(gone)
  if (behaviour.cutBeforeHead === true) return cut(response, delivery)
  await head(response, delivery)
  if (response.statusCode === 204 || response.statusCode === 304 || response.req.method === 'HEAD')
    return void response.end()
  if (!(await body(response, delivery))) return
  const isWhole = behaviour.truncate === undefined && behaviour.errorEvent === undefined
  delivery.call.toldUsage = isWhole && response.statusCode < 400 && tellsUsage(answer)
  if (answer.kind === 'stream' && behaviour.hangAfterTerminator === true) return forever(gone)
  if (answer.kind === 'stream' && behaviour.cutAfterTerminator === true) return cut(response, delivery)
  response.end()
}

/** Writes the head, with the length where there is to be one; a stream's goes out before its first event. */
async function head(response: ServerResponse, delivery: Delivery): Promise<void> {
  const { answer, behaviour, headers } = delivery
  const status = behaviour.status ?? (answer.kind === 'json' ? answer.status : 200)
  const fields: Record<string, string | number> = { ...headers, 'content-type': contentTypeOf(answer) }
  if (behaviour.gzip === true) fields['content-encoding'] = 'gzip'
  const plainLength = answer.kind !== 'stream' && behaviour.gzip !== true
  if (status !== 204 && status !== 304 && behaviour.chunked !== true && (plainLength || behaviour.length === true)) {
    fields['content-length'] = await lengthOf(delivery)
  }
  response.writeHead(status, fields)
  response.flushHeaders()
}

/** Answers are made from scratch each time they are gone through, so counting them costs no memory. */
async function lengthOf(delivery: Delivery): Promise<number> {
  let length = 0
  for await (const { bytes } of pieces(delivery)) length += bytes.length
  return length
}

function pieces({ answer, behaviour, call, id }: Delivery): Iterable<Piece> | AsyncIterable<Piece> {
  const plain = bodyPieces(answer, behaviour, { n: call.n, id })
  if (behaviour.gzip !== true) return plain
  return gzipped(plain, behaviour.hangAfterTerminator === true || behaviour.cutAfterTerminator === true)
}

/** False when it was cut on the way. */
async function body(response: ServerResponse, delivery: Delivery): Promise<boolean> {
  const { behaviour, call, gone } = delivery
  const most = behaviour.cut ?? Number.POSITIVE_INFINITY
  for await (const { bytes, pauseMs } of pieces(delivery)) {
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: gone })
    const part = bytes.subarray(0, Math.min(bytes.length, most - call.bytesSent))
    if (part.length > 0) await write(response, part, gone)
    call.bytesSent += part.length
    if (call.bytesSent >= most) {
      await cut(response, delivery)
      return false
    }
  }
  return true
}

/** Waits for the client where it does not take bytes as fast as they come. */
function write(response: ServerResponse, bytes: Buffer, gone: AbortSignal): Promise<void> {
  gone.throwIfAborted()
  if (response.write(bytes)) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const drained = (): void => {
      gone.removeEventListener('abort', left)
      resolve()
    }
    const left = (): void => {
      response.off('drain', drained)
      reject(gone.reason as Error)
    }
    response.once('drain', drained)
    gone.addEventListener('abort', left, { once: true })
  })
}

/** Destroys the socket once all that was written has left this process. */
async function cut(response: ServerResponse, { onCut }: Delivery): Promise<void> {
  const { socket } = response
  onCut()
  if (socket !== null && socket.writableLength > 0) {
    await new Promise<void>((resolve) => {
      socket.write('', () => resolve())
      socket.once('close', resolve)
    })
  }
  socket?.destroy()
}

function forever(gone: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    if (gone.aborted) reject(gone.reason as Error)
    gone.addEventListener('abort', () => reject(gone.reason as Error), { once: true })
  })
}
