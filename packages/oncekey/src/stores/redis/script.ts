/** A script, and the digest by which Redis knows it. */
import { createHash } from 'node:crypto'

/** Lua source with its SHA-1. */
export interface Script {
  readonly source: string
  readonly sha: string
}

/** One script from its parts. Only the parts that it needs: Redis runs a script's text from its top at each call. */
export function script(...parts: readonly string[]): Script {
  const source = parts.join('').replace(/\n+/g, '\n').trim()
  return { source, sha: createHash('sha1').update(source).digest('hex') }
}
