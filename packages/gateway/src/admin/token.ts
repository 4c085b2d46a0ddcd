/** The bearer token of the admin side. */
import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * Does an `Authorization` header carry the token? In constant time: digests have one length, and comparing them tells
 * nothing of how much was right.
 */
export function carries(authorization: string | undefined, token: string): boolean {
  const given = /^bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? ''
  return timingSafeEqual(digest(given), digest(token))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
