/** Upstreams as they are written: a URL, or NAME=URL for several. */
import { UsageError } from './usage.ts'
import { redacted } from './values.ts'

/** Reads one, a list, or a map of upstreams. The one without a name has the name ''. */
export function namedUpstreams(value: unknown, origin: string): ReadonlyMap<string, URL> {
  const upstreams = new Map<string, URL>()
  for (const [name, written] of entries(value, origin)) {
    if (upstreams.has(name))
      throw new UsageError(
        `${origin} names ${name === '' ? 'two upstreams without a name' : `"${name}" twice`}. Write NAME=URL, each name once.`,
      )
    upstreams.set(name, upstreamUrl(written, origin))
  }
  return upstreams
}

function entries(value: unknown, origin: string): [string, string][] {
  if (typeof value === 'string') return value.split(',').map((part) => named(part.trim()))
  if (Array.isArray(value)) return value.map((part) => named(String(part)))
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).map(([name, url]) => [checkName(name, origin), String(url)])
  throw new UsageError(`${origin} must be a URL, a list of NAME=URL, or a map of names and URLs.`)
}

function named(written: string): [string, string] {
  const [, name, url] = /^([A-Za-z0-9_.-]+)=(.*)$/s.exec(written) ?? []
  return name === undefined || url === undefined ? ['', written] : [name, url]
}

function checkName(name: string, origin: string): string {
  if (/^[A-Za-z0-9_.-]+$/.test(name)) return name
  throw new UsageError(`${origin} has an upstream named "${name}". A name has letters, digits, ".", "_" and "-" only.`)
}

function upstreamUrl(written: string, origin: string): URL {
  let url: URL
  try {
    url = new URL(written)
  } catch {
    throw new UsageError(
      `${origin} is "${redacted(written)}", which is not a URL. Write it whole: https://api.openai.com`,
    )
  }
  if (url.protocol === 'sandbox:') return url
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new UsageError(
      `${origin} is "${redacted(written)}" and must begin with http:// or https:// (or be sandbox:).`,
    )
  }
  if (url.username !== '' || url.password !== '')
    throw new UsageError(`${origin} holds a user name or password. Credentials belong into the clients' headers.`)
  if (url.search !== '' || url.hash !== '')
    throw new UsageError(`${origin} has a query or a fragment, which an upstream cannot have.`)
  return url
}
