/** Whose record a key names: nobody gets an answer that another credential paid for (http.md, Scope). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshKey, type GatewayProgram, type ScriptedUpstream, send, startGateway, startUpstream } from './harness.ts'

let upstream: ScriptedUpstream

beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.close())
beforeEach(() => upstream.reset())

describe('by credential', () => {
  let gateway: GatewayProgram
  beforeAll(async () => {
    gateway = await startGateway(upstream)
  })
  afterAll(() => gateway.kill())

  test.each(['Authorization', 'x-api-key', 'api-key', 'x-goog-api-key'])('%s makes the tenant', async (name) => {
    const key = freshKey()
    const by = (credential: string) => send(gateway, { key, as: null, headers: [name, credential] })
    expect((await by('alice')).how).toBe('executed')
    expect((await by('bob')).how).toBe('executed')
    expect((await by('alice')).how).toBe('replayed')
    expect((await by('bob')).how).toBe('replayed')
    expect(upstream.calls).toHaveLength(2)
  })

  test('the same credential in another header is another tenant', async () => {
    const key = freshKey()
    for (const name of ['Authorization', 'x-api-key', 'api-key', 'x-goog-api-key']) {
      expect((await send(gateway, { key, as: null, headers: [name, 'secret'] })).how).toBe('executed')
    }
    expect(upstream.calls).toHaveLength(4)
  })

  test('one dummy Authorization for everybody does not hide the credential beside it', async () => {
    const key = freshKey()
    const by = (secret: string) => send(gateway, { key, as: 'Bearer dummy', headers: ['x-api-key', secret] })
    expect((await by('alice')).how).toBe('executed')
    expect((await by('bob')).how).toBe('executed')
    expect((await by('alice')).how).toBe('replayed')
  })

  test('a credential in the query makes the tenant where no header does', async () => {
    const key = freshKey()
    const by = (secret: string) => send(gateway, { key, as: null, path: `/v1/things?key=${secret}` })
    const first = await by('alice')
    expect(first.how).toBe('executed')
    expect((await by('bob')).how).toBe('executed')
    const again = await by('alice')
    expect([again.how, again.text]).toEqual(['replayed', first.text])
  })

  test('beside a credential header the one in the query is no part of the request', async () => {
    const key = freshKey()
    expect((await send(gateway, { key, path: '/v1/things?key=a' })).how).toBe('executed')
    expect((await send(gateway, { key, path: '/v1/things?key=b' })).how).toBe('replayed')
    expect(upstream.calls[0]?.url).toBe('/v1/things?key=a')
  })

  test('a header any client can write makes no tenant', async () => {
    const key = freshKey()
    await send(gateway, { key, headers: ['X-Tenant', 'a', 'X-Forwarded-User', 'a'] })
    expect((await send(gateway, { key, headers: ['X-Tenant', 'b', 'X-Forwarded-User', 'b'] })).how).toBe('replayed')
  })

  test.each([
    ['no credential', []],
    ['an empty Authorization', ['Authorization', '']],
    ['a scheme without a credential', ['Authorization', 'Bearer ']],
  ])('a key with %s is refused, and the sentence names the flag', async (_, headers) => {
    const answer = await send(gateway, { key: freshKey(), as: null, headers })
    expect([answer.status, answer.json['code']]).toEqual([400, 'tenant_required'])
    expect(answer.json['detail']).toContain('--dangerously-allow-anonymous')
    expect(answer.header('x-should-retry')).toBe('false')
    expect(upstream.calls).toHaveLength(0)
  })

  test('credentials are forwarded as they came', async () => {
    await send(gateway, { key: freshKey(), headers: ['x-api-key', 'k1'], path: '/v1?key=k2' })
    const { headers, url } = await upstream.call()
    expect([headers.authorization, headers['x-api-key'], url]).toEqual(['Bearer alice', 'k1', '/v1?key=k2'])
  })

  test('a mismatch tells a stranger nothing: for him the key is free', async () => {
    const key = freshKey()
    await send(gateway, { key, body: 'one' })
    expect((await send(gateway, { key, body: 'two' })).status).toBe(422)
    expect((await send(gateway, { key, body: 'two', as: 'Bearer bob' })).how).toBe('executed')
  })

  test('a keyless request without a credential is passed through, not refused', async () => {
    const answer = await send(gateway, { as: null })
    expect([answer.status, answer.how]).toEqual([200, 'ignored'])
  })
})

describe('with --dangerously-allow-anonymous', () => {
  let gateway: GatewayProgram
  beforeAll(async () => {
    gateway = await startGateway(upstream, ['--dangerously-allow-anonymous'])
  })
  afterAll(() => gateway.kill())

  test('keys without a credential share one tenant', async () => {
    const key = freshKey()
    expect((await send(gateway, { key, as: null })).how).toBe('executed')
    expect((await send(gateway, { key, as: null })).how).toBe('replayed')
  })

  test('a credential still makes a tenant of its own', async () => {
    const key = freshKey()
    expect((await send(gateway, { key, as: null })).how).toBe('executed')
    expect((await send(gateway, { key, as: 'Bearer alice' })).how).toBe('executed')
    expect((await send(gateway, { key, as: 'Bearer bob' })).how).toBe('executed')
  })
})

describe('with --tenant-header', () => {
  let gateway: GatewayProgram
  beforeAll(async () => {
    gateway = await startGateway(upstream, ['--tenant-header', 'X-Team'])
  })
  afterAll(() => gateway.kill())

  test('the header is the tenant, whatever the credential', async () => {
    const key = freshKey()
    const by = (team: string, as: string) => send(gateway, { key, as, headers: ['x-team', team] })
    expect((await by('red', 'Bearer old')).how).toBe('executed')
    expect((await by('red', 'Bearer rotated')).how).toBe('replayed')
    expect((await by('blue', 'Bearer old')).how).toBe('executed')
  })

  test('a request without it, or with two of it, is refused', async () => {
    const none = await send(gateway, { key: freshKey() })
    const two = await send(gateway, { key: freshKey(), headers: ['X-Team', 'red', 'x-team', 'red'] })
    const joined = await send(gateway, { key: freshKey(), headers: ['X-Team', 'red, blue'] })
    for (const answer of [none, two, joined])
      expect([answer.status, answer.json['code']]).toEqual([400, 'tenant_required'])
    expect(upstream.calls).toHaveLength(0)
  })

  test.each([
    ['covered', 'POST'],
    ['passed through', 'GET'],
  ])('it is not forwarded when the request is %s', async (_, method) => {
    await send(gateway, { method, key: freshKey(), headers: ['X-TEAM', 'red'] })
    const call = await upstream.call()
    expect(call.rawHeaders.join('\n').toLowerCase()).not.toContain('x-team')
  })
})
