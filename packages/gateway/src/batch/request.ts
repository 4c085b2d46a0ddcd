/** One line of a batch file as the request it asks for, or the sentence that says why it is none. */
import { UsageError } from '../config/index.ts'
import type { Line } from './lines.ts'
import { memberText } from './member.ts'

/** Whose batch format a file is in; its results are written in the same. */
export type Dialect = 'openai' | 'anthropic'

/** What a line asks for. */
export interface BatchRequest {
  readonly dialect: Dialect
  /** Of its line, from 1. */
  readonly number: number
  readonly customId: string
  readonly method: 'POST'
  /** Path, and query where there is one. */
  readonly target: string
  /** As it was written. */
  readonly body: Buffer
  readonly model: string | undefined
}

type Json = Readonly<Record<string, unknown>>

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The request of a line; undefined for an empty one. Throws UsageError with the line's number. */
export function requestOf(line: Line, path: string): BatchRequest | undefined {
  const refused = (what: string): UsageError => new UsageError(`Line ${line.number} of ${path} ${what}`)
  let text: string
  try {
    text = utf8.decode(line.bytes)
  } catch {
    throw refused('is not UTF-8.')
  }
  if (text.trim() === '') return undefined
  const json = parsed(text)
  if (json === undefined) throw refused('is not a JSON object. Each line must be one whole request.')
  const { custom_id: customId } = json
  if (customId === undefined) throw refused('has no custom_id. Give each line one of its own.')
  if (typeof customId !== 'string' || customId === '') throw refused('has a custom_id that is not a text.')
  const named = { number: line.number, customId, method: 'POST' } as const
  if ('params' in json && !('url' in json)) {
    const body = objectOf(json, 'params', refused)
    const target = '/v1/messages'
    return { ...named, dialect: 'anthropic', target, body: raw(text, 'params'), model: modelOf(body) }
  }
  const { method, url } = json
  for (const name of ['method', 'url', 'body'])
    if (!(name in json))
      throw refused(`has no ${name}. A line has custom_id, method, url and body, or custom_id and params.`)
  if (method !== 'POST') throw refused(`has the method ${JSON.stringify(method)}, and batches only POST.`)
  if (typeof url !== 'string' || !/^\/[\x21-\x7e]*$/.test(url) || url.includes('#'))
    throw refused(`has the url ${JSON.stringify(url)}, which must be a path such as /v1/chat/completions.`)
  const body = objectOf(json, 'body', refused)
  return { ...named, dialect: 'openai', target: url, body: raw(text, 'body'), model: modelOf(body) }
}

/** Input tokens by rule of thumb, for limits and dry runs: four bytes a token, as English text has it. */
export function estimatedTokens({ body }: BatchRequest): number {
  return Math.ceil(body.length / 4)
}

/** The object that is to be sent. An answer in pieces has no place in a result line, so `stream` is refused. */
function objectOf(json: Json, name: string, refused: (what: string) => UsageError): Json {
  const body = json[name]
  if (!isObject(body)) throw refused(`has a ${name} that is not a JSON object.`)
  if (body['stream'] === true)
    throw refused(`asks for a stream, which a batch cannot hold. Remove "stream" from its ${name}.`)
  return body
}

function raw(text: string, name: string): Buffer {
  return Buffer.from(memberText(text, name) ?? '')
}

function modelOf(body: Json): string | undefined {
  return typeof body['model'] === 'string' ? body['model'] : undefined
}

function parsed(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** A JSON object, no array. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
