/** Headers on their way to and from an upstream, as raw lists. */
import { endToEndHeaders, fieldNames, withoutFields } from 'oncekey/http'

/** undici's raw header Buffers as text; latin1, so that every byte survives the way back (RFC 9110 §5.5). */
export function textHeaders(raw: readonly Buffer[]): string[] {
  const text: string[] = new Array(raw.length)
  for (let at = 0; at < raw.length; at++) text[at] = (raw[at] as Buffer).toString('latin1')
  return text
}

/** What a request keeps for the next hop, and what the gateway takes away. */
export interface ForwardedHeaders {
  /** The upstream is declared to honour the key. */
  readonly keepKey: boolean
  /** Set by a trusted proxy for us alone. */
  readonly tenantHeader: string | undefined
  readonly keyAliases: readonly string[]
  /** The body goes on as a stream, with the length that was declared. */
  readonly keepLength: boolean
}

/** A request's headers for the upstream: end to end, its own Host, no key, no `Expect`. */
export function upstreamHeaders(raw: readonly string[], options: ForwardedHeaders): string[] {
  const dropped = new Set(['host', 'expect'])
  if (!options.keepLength) dropped.add('content-length')
  if (!options.keepKey) for (const name of [fieldNames.key, ...options.keyAliases]) dropped.add(name.toLowerCase())
  if (options.tenantHeader !== undefined) dropped.add(options.tenantHeader.toLowerCase())
  return withoutFields(endToEndHeaders(raw), (name) => dropped.has(name))
}
