/** Asks an upstream with a caller's own credentials, for the gateway itself. */
import { type RawHeaders, withoutFields } from 'oncekey/http'
import type { Get } from 'oncekey/providers'
import type { Upstream } from './upstream.ts'

/** Whose request it is, and where it went. */
export interface Behind {
  readonly upstream: Upstream
  /** Path and query that the caller's own request was sent to. */
  readonly target: string
  /** As they were sent on. */
  readonly headers: RawHeaders
}

/** A list that takes longer is not there. */
const timeoutMs = 30_000
/** Results of a large batch; what is longer cannot be read. */
const mostBytes = 64 * 1024 * 1024
/** Of a request with a body, and a coding that nobody here would undo. */
const dropped = new Set(['content-type', 'content-length', 'content-encoding', 'accept-encoding', 'idempotency-key'])

/** A `Get` for one request: GETs behind its path, its own query kept. */
export function getBehind({ upstream, target, headers }: Behind): Get {
  const [path = '', own = ''] = target.split('?', 2)
  const sent = withoutFields(headers, (name) => dropped.has(name))
  return (suffix, more) => {
    const query = [own, new URLSearchParams(more).toString()].filter((part) => part !== '').join('&')
    const asked = { method: 'GET', target: `${path}${suffix}${query === '' ? '' : `?${query}`}`, headers: [...sent] }
    return new Promise((resolve) => {
      const chunks: Uint8Array[] = []
      let status = 0
      let length = 0
      const call = upstream.call(
        { ...asked, body: null, timeoutMs },
        {
          head: (code) => {
            status = code
          },
          data: (bytes) => {
            length += bytes.length
            if (length <= mostBytes) return void chunks.push(bytes)
            call.abort()
            resolve(undefined)
          },
          end: () => resolve({ status, body: Buffer.concat(chunks) }),
          fail: () => resolve(undefined),
        },
      )
    })
  }
}
