/** Tells whose request it is: from the authenticated principal, never from a header any client can write. */
import type { Digest } from '../core/digest.ts'
import { IdempotencyError } from '../core/errors.ts'
import { exactPart } from '../core/key.ts'
import { fieldValue, fieldValues, type RawHeaders } from './headers.ts'
import type { Memo } from './memo.ts'
import { decodedText, queryPairs } from './query.ts'

/** What keyed digests are made with; the pepper belongs to the store. */
export interface Keyed {
  readonly digest: Digest
  readonly pepper: Uint8Array
}

/** What a tenant is read from. `query` is as sent, without the question mark. */
export interface TenantRequest {
  readonly headers: RawHeaders
  readonly query: string
}

/** Where the tenant comes from. */
export interface TenantOptions {
  /** A header that a trusted proxy in front sets (`--tenant-header`); replaces credentials. Not to be forwarded. */
  readonly tenantHeader?: string
  /** All requests without credentials share one tenant, and so each other's outcomes. */
  readonly dangerouslyAllowAnonymous?: boolean
}

/** Headers that say who asks. All that are present make the tenant. */
const credentialHeaders: readonly string[] = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key']

/** Query parameters that say who asks; the credential is not part of what is asked, so fingerprints leave them out. */
export const credentialParameters: ReadonlySet<string> = new Set(['key', 'api_key', 'access_token'])

const maxTenantLength = 255

/**
 * The tenant of a request (http.md, Scope). Tenants of different sources are never equal: each begins with its kind.
 * Throws `tenant_required` when there is none.
 */
export function tenantOf(
  keyed: Keyed,
  request: TenantRequest,
  options: TenantOptions = {},
  memo?: Memo<string>,
): string {
  if (options.tenantHeader !== undefined) return givenTenant(fromHeader(request.headers, options.tenantHeader))
  const parts = credentialParts(request)
  if (parts.length > 0) {
    const work = (): string => `credential:${keyed.digest.hmac(keyed.pepper, ['tenant', ...parts])}`
    return memo === undefined ? work() : memo.get(JSON.stringify(parts), work)
  }
  if (options.dangerouslyAllowAnonymous) return 'anonymous:'
  throw new IdempotencyError(
    'tenant_required',
    'The request has an idempotency key and no credential, so nobody can tell whose key it is. Send Authorization or ' +
      'x-api-key, or give a tenant function; --dangerously-allow-anonymous (dangerouslyAllowAnonymous) lets all such ' +
      'requests share their outcomes.',
  )
}

/** Can anybody tell whose request this is? A missing tenant header is no "no": it is a mistake that has to be told. */
export function hasTenant(request: TenantRequest, options: TenantOptions): boolean {
  return (
    options.tenantHeader !== undefined ||
    options.dangerouslyAllowAnonymous === true ||
    credentialParts(request).length > 0
  )
}

/** The tenant an application or a trusted proxy names. Throws `tenant_required` when the name is empty or no string. */
export function givenTenant(name: unknown): string {
  if (typeof name === 'string' && name !== '') return `given:${name}`
  throw new IdempotencyError('tenant_required', 'The tenant of this request is empty. Name whose request it is.')
}

function fromHeader(headers: RawHeaders, name: string): string {
  const refused = (what: string): IdempotencyError =>
    new IdempotencyError('tenant_required', `The tenant header ${name} ${what}. The proxy in front must set it once.`)
  if (fieldValues(headers, name).length > 1) throw refused('came more than once')
  const value = fieldValue(headers, name)
  if (value === undefined) throw refused('is missing or empty')
  // Servers and proxies join repeated lines by a comma, so it may be a client's line beside the proxy's.
  if (value.includes(',')) throw refused('holds a comma, which joins two values')
  if (value.length > maxTenantLength) throw refused(`is longer than ${maxTenantLength} characters`)
  return value
}

/**
 * Name and value of every credential there is. Taking only the first would let everybody behind one dummy
 * `Authorization` share records. A query parameter counts only where no header does.
 */
function credentialParts(request: TenantRequest): (string | Uint8Array)[] {
  const parts: (string | Uint8Array)[] = []
  for (const name of credentialHeaders) {
    const value = fieldValue(request.headers, name)
    // A scheme with nothing behind it is what an unset variable leaves of a credential.
    if (value !== undefined && !/^(?:bearer|basic)$/i.test(value)) parts.push(name, exactPart(value))
  }
  if (parts.length > 0) return parts
  for (const pair of queryPairs(request.query)) {
    const name = decodedText(pair.name) ?? pair.name
    if (credentialParameters.has(name) && pair.value) parts.push(`?${name}`, exactPart(pair.value))
  }
  return parts
}
