/** Turns the canonical parts of a request, or a library caller's input, into the fingerprint a record is bound to. */
import type { CanonicalOptions } from './canonical.ts'
import type { Digest } from './digest.ts'
import { canonicalValue } from './input.ts'
import { exactPart } from './key.ts'

/** A version character and a base64url HMAC-SHA-256; fingerprints of different versions are never equal. */
export type Fingerprint = string & { readonly __brand: 'Fingerprint' }

/** Raised when the parts of the same request change; the former version stays readable for one retention. */
const version = '1'

/** Keyed with the store's pepper, for a bare hash of a prompt can be guessed (http.md, Fingerprint). */
export function fingerprintOf(
  digest: Digest,
  pepper: Uint8Array,
  parts: readonly (string | Uint8Array)[],
): Fingerprint {
  const exact = parts.map((part) => (typeof part === 'string' ? exactPart(part) : part))
  return `${version}${digest.hmac(pepper, ['fingerprint', ...exact])}` as Fingerprint
}

/**
 * The fingerprint of a library operation's `input`: a JSON value, bytes, or nothing. Bytes never equal a JSON value,
 * and an input that is left out differs from every one that is given. Throws what {@link canonicalValue} throws.
 */
export function inputFingerprint(
  digest: Digest,
  pepper: Uint8Array,
  input: unknown,
  options: CanonicalOptions = {},
): Fingerprint {
  if (input === undefined) return fingerprintOf(digest, pepper, ['input', 'none'])
  if (input instanceof Uint8Array) return fingerprintOf(digest, pepper, ['input', 'bytes', input])
  return fingerprintOf(digest, pepper, ['input', 'json', canonicalValue(input, options)])
}
