/** Reads a request to its end: a provider starts to work, and to bill, when it has the whole body. */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { gunzipSync } from 'node:zlib'

/** A request whose body is whole. */
export interface SandboxRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly bodySha256: string
  readonly bodyBytes: number
  /** The body as a JSON object; undefined where it is none. */
  readonly json: Readonly<Record<string, unknown>> | undefined
  readonly model: string
  readonly marker: string | undefined
}

/** A longer body is hashed and not looked into. */
const lookedIntoBytes = 64 * 1024 * 1024

/** Rejects when the client goes away before the body's end. */
export async function readRequest(message: IncomingMessage): Promise<SandboxRequest> {
  const hash = createHash('sha256')
  const kept: Buffer[] = []
  let bodyBytes = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bodyBytes += chunk.length
    if (bodyBytes <= lookedIntoBytes) kept.push(chunk)
  }
  const headers = joinedHeaders(message.rawHeaders)
  const body = bodyBytes <= lookedIntoBytes ? Buffer.concat(kept) : Buffer.alloc(0)
  const json = parseObject(body, headers['content-encoding'])
  return {
    method: message.method ?? 'GET',
    path: message.url ?? '/',
    headers,
    bodySha256: hash.digest('hex'),
    bodyBytes,
    json,
    model: text(json?.model) ?? partOfForm(body, 'model') ?? 'pretend-1',
    marker: headers['x-sandbox-marker'] ?? markerOf(json),
  }
}

function joinedHeaders(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    const value = raw[at + 1] ?? ''
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  return headers
}

function parseObject(body: Buffer, coding: string | undefined): Record<string, unknown> | undefined {
  try {
    const plain = coding === 'gzip' ? gunzipSync(body) : body
    const value: unknown = JSON.parse(plain.toString('utf8'))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function markerOf(json: Record<string, unknown> | undefined): string | undefined {
  const metadata = isObject(json?.metadata) ? json.metadata : {}
  return text(metadata.marker) ?? text(metadata.user_id) ?? text(json?.user)
}

/** A short field of a multipart form. */
function partOfForm(body: Buffer, name: string): string | undefined {
  const begin = body.indexOf(`name="${name}"\r\n\r\n`)
  if (begin === -1) return undefined
  const from = body.indexOf('\r\n\r\n', begin) + 4
  return body.subarray(from, body.indexOf('\r\n', from)).toString('utf8')
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** A JSON object, no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
