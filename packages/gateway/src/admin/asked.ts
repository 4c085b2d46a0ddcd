/** A request to the admin side, as its handlers see it. */
import type { IncomingMessage } from 'node:http'
import { AdminError } from './problem.ts'

/** Longest body: an outcome that an operator gives. */
const maxBodyBytes = 16 * 1024 * 1024

/** One request. */
export interface Asked {
  /** What the path has in the place of a record id. */
  readonly operand: string
  readonly query: URLSearchParams
  /** As the audit names whoever asks. */
  readonly who: string
  text(): Promise<string>
}

/** What is sent back: an object is JSON. */
export interface AdminAnswer {
  readonly status: number
  readonly body: object | string
  readonly type?: string
}

/** The query, once it holds nothing but `known`, each at most once: a filter that is spelt wrong must not be passed over. */
export function checkedQuery(query: URLSearchParams, known: readonly string[]): URLSearchParams {
  for (const name of query.keys()) {
    if (known.includes(name) && query.getAll(name).length === 1) continue
    const takes = known.length === 0 ? 'takes no query' : `takes ${known.join(', ')}, each once`
    throw new AdminError('request_invalid', `The query has "${name}", and this path ${takes}.`)
  }
  return query
}

/** The body as text. */
export async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    // Read to its end all the same: a connection that is closed over unread bytes takes the answer with it.
    if (length <= maxBodyBytes) chunks.push(chunk)
  }
  if (length > maxBodyBytes)
    throw new AdminError('body_too_large', `The request body has more than ${maxBodyBytes} bytes.`)
  return Buffer.concat(chunks).toString()
}
