/** Which record an operator means: by its id, or by the key that a caller sent. */
import { type Engine, givenTenant, recordId, tenantOf } from 'oncekey/http'
import type { RecordId } from 'oncekey/store'

/** What a caller's key is looked for with. */
export interface KeyedName {
  readonly key: string
  /** `POST /v1/chat/completions`, or a library's own. */
  readonly scope: string
  /** A tenant header's value, or a library's own; undefined where there is none. */
  readonly tenant: string | undefined
  /** The caller's credential, as the provider gave it out. */
  readonly credential: string | undefined
}

/**
 * Every record id that this key can have: a gateway puts the tenant's kind before its name and the key's before its
 * place, a library takes both as they are, and a credential may have come in any of the usual headers.
 */
export async function candidates(engine: Engine, name: KeyedName): Promise<readonly RecordId[]> {
  const pepper = await engine.ready()
  const keyed = { digest: engine.digest, pepper }
  const scopes = [`key ${name.scope}`, name.scope]
  return tenantsOf(keyed, name).flatMap((tenant) =>
    scopes.map((scope) => recordId(engine.digest, pepper, { tenant, scope, key: name.key })),
  )
}

function tenantsOf(keyed: Parameters<typeof tenantOf>[0], { tenant, credential }: KeyedName): readonly string[] {
  if (tenant !== undefined) return [givenTenant(tenant), tenant]
  if (credential === undefined) return ['anonymous:', '']
  const headers = [
    ['authorization', `Bearer ${credential}`],
    ['authorization', credential],
    ['x-api-key', credential],
    ['api-key', credential],
    ['x-goog-api-key', credential],
  ]
  const inQuery = ['key', 'api_key', 'access_token'].map((name) => `${name}=${encodeURIComponent(credential)}`)
  return [
    ...headers.map((header) => tenantOf(keyed, { headers: header, query: '' })),
    ...inQuery.map((query) => tenantOf(keyed, { headers: [], query })),
  ]
}
