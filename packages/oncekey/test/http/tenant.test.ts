/** Tenants: whose request it is, and that no two principals ever share one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { givenTenant, type TenantOptions, tenantOf } from '../../src/http/tenant.ts'
import { nodeDigest } from '../../src/platform/node.ts'

const keyed = { digest: nodeDigest, pepper: new Uint8Array(32).fill(7) }
const of = (headers: string[], query = '', options: TenantOptions = {}) => tenantOf(keyed, { headers, query }, options)
const required = expect.objectContaining({ code: 'tenant_required' })

describe('the tenant from credentials', () => {
  it('is a keyed digest that does not show them', () => {
    const tenant = of(['Authorization', 'Bearer sk-secret'])
    expect(tenant).toMatch(/^credential:[\w-]{43}$/)
    expect(
      tenantOf({ ...keyed, pepper: new Uint8Array(32) }, { headers: ['Authorization', 'Bearer sk-secret'], query: '' }),
    ).not.toBe(tenant)
  })

  it('does not depend on the order and case of header names, nor on a parameter beside a header', () => {
    const tenant = of(['x-api-key', 'k', 'authorization', 'Bearer a'])
    expect(of(['AUTHORIZATION', ' Bearer a ', 'X-Api-Key', 'k'], 'key=other')).toBe(tenant)
  })

  it('is the same whether a server joins repeated lines or not', () => {
    expect(of(['x-api-key', 'a', 'x-api-key', 'b'])).toBe(of(['x-api-key', 'a, b']))
  })

  it('is not shared by two keys behind one dummy Authorization', () => {
    expect(of(['Authorization', 'Bearer dummy', 'x-api-key', 'a'])).not.toBe(
      of(['Authorization', 'Bearer dummy', 'x-api-key', 'b']),
    )
  })

  it('I8 isolation: is equal only for equal credentials under equal names', () => {
    const value = fc.string({
      unit: fc.constantFrom('a', ':', ',', '1', '\u00e9', '\ud800', '\ufffd'),
      minLength: 1,
      maxLength: 3,
    })
    const credentials = fc.dictionary(
      fc.constantFrom('authorization', 'x-api-key', 'api-key', 'x-goog-api-key'),
      value,
      { minKeys: 1, noNullPrototype: true },
    )
    fc.assert(
      fc.property(credentials, credentials, (a, b) => {
        const sorted = (given: Record<string, string>) => JSON.stringify(Object.entries(given).sort())
        expect(of(Object.entries(a).flat()) === of(Object.entries(b).flat())).toBe(sorted(a) === sorted(b))
      }),
      { numRuns: 1000 },
    )
  })

  it('comes from the query only where there is no credential header', () => {
    const tenant = of([], 'alt=sse&key=k1')
    expect(tenant).toMatch(/^credential:/)
    expect(of([], 'key=k2')).not.toBe(tenant)
    expect(of(['x-goog-api-key', 'k1'])).not.toBe(tenant)
    expect(of([], '%6Bey=k1')).toBe(tenant)
  })

  it.each([
    [[]],
    [['Authorization', '']],
    [['Authorization', '  ']],
    [['Authorization', 'Bearer']],
    [['authorization', 'basic ']],
    [['Cookie', 'a=1']],
    [['X-Tenant', 't']],
  ])('is required: %j is no credential', (headers) => {
    expect(() => of(headers)).toThrow(required)
    expect(() => of(headers, 'key=')).toThrow(/--dangerously-allow-anonymous/)
    expect(of(headers, '', { dangerouslyAllowAnonymous: true })).toBe('anonymous:')
  })
})

describe('the tenant from a header', () => {
  const options = { tenantHeader: 'X-Tenant' }

  it('replaces credentials, so that rotation keeps it', () => {
    expect(of(['x-tenant', 'acme', 'Authorization', 'a'], '', options)).toBe(of(['X-TENANT', ' acme '], '', options))
    expect(of(['x-tenant', 'acme'], '', options)).toBe(givenTenant('acme'))
  })

  it.each([
    [[]],
    [['X-Tenant', '']],
    [['X-Tenant', 'a', 'x-tenant', 'a']],
    [['X-Tenant', 'a, b']],
    [['X-Tenant', 'a'.repeat(256)]],
  ])('is required once and whole, whatever credentials there are: %j', (headers) => {
    const asked = [...headers, 'Authorization', 'Bearer a']
    expect(() => of(asked, '', { ...options, dangerouslyAllowAnonymous: true })).toThrow(required)
  })

  it('never equals a tenant of another source', () => {
    const digest = of(['Authorization', 'a'])
    expect(of(['x-tenant', digest], '', options)).not.toBe(digest)
    expect(givenTenant('anonymous:')).not.toBe(of([], '', { dangerouslyAllowAnonymous: true }))
  })
})

it.each([[''], [undefined], [null], [7]])('a tenant function that answers %j is refused', (name) => {
  expect(() => givenTenant(name)).toThrow(required)
})
