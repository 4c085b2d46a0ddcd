/** A reply of Fastify, as far as an answer that Fastify does not send itself needs it; Nest has the same under it. */
import type { ServerResponse } from 'node:http'

/** What `FastifyReply` has, without its types: Nest is also used without Fastify. */
export interface ReplyOfFastify {
  readonly raw: ServerResponse
  getHeaders(): Readonly<Record<string, string | number | string[] | undefined>>
  hijack(): unknown
}

/** What hooks have set so far (CORS) goes out with such an answer; answers how to undo it. */
export function lendHeaders(reply: ReplyOfFastify): () => void {
  const { raw } = reply
  const names: string[] = []
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value === undefined || raw.hasHeader(name)) continue
    raw.setHeader(name, value)
    names.push(name)
  }
  return () => {
    for (const name of names) raw.removeHeader(name)
  }
}
