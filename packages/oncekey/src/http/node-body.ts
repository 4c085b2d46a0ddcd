/** The body of an IncomingMessage: read whole and put back for the parser, or made of what a parser has left. */
import type { IncomingMessage } from 'node:http'
import { IdempotencyError } from '../core/errors.ts'
import type { BodyRoom } from './body-room.ts'
import { fieldValue, withoutFields } from './headers.ts'
import type { HostedBody } from './host.ts'
import { isJson, parseMediaType } from './media.ts'

/**
 * The body as bytes; `parsed` is what a parser in front of us has made of it. Undefined when the caller hung up. Throws
 * `config_invalid` where somebody has taken it and left nothing that it could be compared by.
 */
export async function nodeBody(
  request: IncomingMessage,
  parsed: unknown,
  room: BodyRoom,
): Promise<HostedBody | undefined> {
  const headers = request.rawHeaders
  const { 'transfer-encoding': coding, 'content-length': length = '0' } = request.headers
  // A request has a body exactly when it says so (RFC 9112 §6.3).
  if (coding === undefined && Number(length) === 0) return { headers, body: new Uint8Array(0) }
  if (request.readableEnded) return fromParsed(request, parsed, room)
  const body = await read(request, room)
  return body === undefined ? undefined : { headers, body }
}

function fromParsed(request: IncomingMessage, parsed: unknown, room: BodyRoom): HostedBody {
  const { type } = parseMediaType(fieldValue(request.rawHeaders, 'content-type') ?? '')
  if (parsed instanceof Uint8Array) {
    room.take(parsed.length)
    return { headers: request.rawHeaders, body: parsed }
  }
  // Of files a parser leaves nothing here, or a place on the disk: two requests with other files would look the same.
  if (parsed === undefined || type.startsWith('multipart/')) throw taken(type)
  const plain = withoutFields(request.rawHeaders, (name) => name === 'content-encoding')
  const isText = typeof parsed === 'string' && !isJson(type)
  const body = Buffer.from(isText ? (parsed as string) : JSON.stringify(parsed))
  room.take(body.length)
  if (isText || isJson(type)) return { headers: plain, body }
  // What was made of a form is compared as the JSON value that it has become.
  const others = withoutFields(plain, (name) => name === 'content-type')
  return { headers: [...others, 'Content-Type', `${type || 'application/octet-stream'}+json`], body }
}

/** Takes every byte without letting `end` happen, then puts them back: to a parser the request is untouched. */
function read(request: IncomingMessage, room: BodyRoom): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const stop = (): void => {
      request.off('readable', take)
      request.off('close', gone)
      request.off('error', gone)
    }
    const gone = (): void => {
      stop()
      resolve(undefined)
    }
    const take = (): void => {
      try {
        for (let chunk = request.read() as Buffer | null; chunk !== null; chunk = request.read() as Buffer | null) {
          room.take(chunk.length)
          chunks.push(chunk)
        }
      } catch (error) {
        stop()
        request.resume()
        return reject(error)
      }
      if (!request.complete) return
      stop()
      const body = Buffer.concat(chunks)
      // Before the turn in which the stream would say that it has ended.
      if (body.length > 0) request.unshift(body)
      resolve(body)
    }
    request.on('readable', take)
    request.on('close', gone)
    request.on('error', gone)
    take()
  })
}

function taken(type: string): IdempotencyError {
  const sentence = type.startsWith('multipart/')
    ? 'A parser has read this multipart body before the idempotency adapter, which cannot compare its files any more. Mount the adapter before that parser.'
    : 'Something has read this body before the idempotency adapter and left no request.body. Mount the adapter before it.'
  return new IdempotencyError('config_invalid', sentence)
}
