/** Which header names the record, and which headers name none (http.md, Request). */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  freshKey,
  type GatewayProgram,
  RawClient,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'

let upstream: ScriptedUpstream
let gateway: GatewayProgram
let configured: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway(upstream)
  const file = join(mkdtempSync(join(tmpdir(), 'oncekey-keys-')), 'oncekey.yaml')
  writeFileSync(
    file,
    `keyAliases: [X-Request-Token, Stripe-Key]
routes:
  - { path: /strict/*, strictKeys: true }
  - { path: /needs/*, requireKey: true }
  - { path: /put/*, methods: [PUT, DELETE] }
  - { path: /free/*, covered: false }
`,
  )
  configured = await startGateway(upstream, ['--config', file])
})

afterAll(async () => {
  await gateway.kill()
  await configured.kill()
  upstream.close()
})

beforeEach(() => upstream.reset())

describe('a key', () => {
  test('names the same record bare and in quotes', async () => {
    const key = freshKey()
    const first = await send(gateway, { key })
    const second = await send(gateway, { key: `"${key}"` })
    expect([first.how, second.how]).toEqual(['executed', 'replayed'])
    expect(second.text).toBe(first.text)
    expect(upstream.calls).toHaveLength(1)
  })

  test('is another one when its letters have another case', async () => {
    const key = freshKey()
    await send(gateway, { key })
    expect((await send(gateway, { key: key.toUpperCase() })).how).toBe('executed')
    expect(upstream.calls).toHaveLength(2)
  })

  test('may hold commas, semicolons and escaped quotes inside its quotes', async () => {
    const key = `"${freshKey()},;\\"\\\\x"`
    expect((await send(gateway, { key })).how).toBe('executed')
    expect((await send(gateway, { key })).how).toBe('replayed')
    // Without the escapes it is another key.
    expect((await send(gateway, { key: key.replace('\\"', '') })).how).toBe('executed')
  })

  test('may be 255 characters long', async () => {
    const key = freshKey().padEnd(255, 'k')
    expect((await send(gateway, { key })).how).toBe('executed')
    expect((await send(gateway, { key: `"${key}"` })).how).toBe('replayed')
  })

  test('is echoed as it was sent', async () => {
    const key = `"${freshKey()}"`
    expect((await send(gateway, { key })).header('idempotency-key')).toBe(key)
    expect((await send(gateway, { key })).header('idempotency-key')).toBe(key)
  })

  test.each([
    ['empty', ''],
    ['empty in quotes', '""'],
    ['256 characters long', 'k'.repeat(256)],
    ['256 characters long in quotes', `"${'k'.repeat(256)}"`],
    ['without a closing quote', '"abc'],
    ['with a quote in its middle', 'ab"c'],
    ['with text after its quotes', '"abc" def'],
    ['with a parameter', '"abc";a=1'],
    ['bare with a parameter', 'abc;a=1'],
    ['with a wrong escape', '"a\\bc"'],
    ['with a control character', '"a\tb"'],
    ['beyond ASCII', 'k\xe9y'],
  ])('that is %s gets 400 before the upstream is called', async (_, key) => {
    const answer = await raw(gateway, ['Idempotency-Key', key])
    expect(answer).toContain('HTTP/1.1 400 ')
    expect(answer).toContain('"code":"key_malformed"')
    expect(upstream.calls).toHaveLength(0)
  })

  test.each([
    ['in a list', ['Idempotency-Key', 'abc, def']],
    ['in a list of quoted ones', ['Idempotency-Key', '"abc", "def"']],
    ['in two field lines', ['Idempotency-Key', 'abc', 'Idempotency-Key', 'def']],
    ['in two equal field lines', ['Idempotency-Key', 'abc', 'idempotency-key', 'abc']],
  ])('that comes %s gets 400 before the upstream is called', async (_, headers) => {
    const answer = await raw(gateway, headers)
    expect(answer).toContain('HTTP/1.1 400 ')
    expect(answer).toMatch(/"code":"key_(?:ambiguous|malformed)"/)
    expect(upstream.calls).toHaveLength(0)
  })

  test('is refused in a problem document that SDKs read', async () => {
    const answer = await send(gateway, { key: '""' })
    expect(answer.header('content-type')).toBe('application/problem+json')
    expect(answer.header('x-should-retry')).toBe('false')
    expect(answer.header('link')).toMatch(/rel="describedby"/)
    expect(answer.how).toBe('refused')
    expect(answer.json).toMatchObject({
      status: 400,
      code: 'key_malformed',
      error: { code: 'key_malformed', param: null },
    })
    expect((answer.json['error'] as { message: string }).message).toBe(answer.json['detail'])
  })

  test('is found behind more headers than Node keeps by default', async () => {
    const key = freshKey()
    const headers = Array.from({ length: 2500 }, (_, at) => [`x-${at}`, '1']).flat()
    expect((await send(gateway, { key, headers })).how).toBe('executed')
    expect((await send(gateway, { key, headers })).how).toBe('replayed')
    expect(upstream.calls).toHaveLength(1)
  })
})

describe('a configured key header', () => {
  test('names the same record as Idempotency-Key, and is not forwarded', async () => {
    const key = freshKey()
    expect((await send(configured, { headers: ['x-request-token', key] })).how).toBe('executed')
    expect((await send(configured, { key })).how).toBe('replayed')
    expect((await send(configured, { headers: ['Stripe-Key', key] })).how).toBe('replayed')
    expect(upstream.calls[0]?.headers).not.toHaveProperty('x-request-token')
  })

  test('may agree with Idempotency-Key and must not disagree', async () => {
    const key = freshKey()
    expect((await send(configured, { key, headers: ['X-Request-Token', `"${key}"`] })).how).toBe('executed')
    const other = await send(configured, { key, headers: ['X-Request-Token', 'other'] })
    expect(other.status).toBe(400)
    expect(other.json['code']).toBe('key_ambiguous')
  })

  test('means nothing where it is not configured', async () => {
    const headers = ['X-Request-Token', freshKey()]
    await send(gateway, { headers })
    await send(gateway, { headers })
    expect(upstream.calls).toHaveLength(2)
  })
})

describe('a route', () => {
  test('with strictKeys takes only quoted keys', async () => {
    const key = freshKey()
    const bare = await send(configured, { path: '/strict/a', key })
    expect([bare.status, bare.json['code']]).toEqual([400, 'key_malformed'])
    expect((await send(configured, { path: '/strict/a', key: `"${key}"` })).how).toBe('executed')
  })

  test('with requireKey refuses a request without a key, and takes one with it', async () => {
    const without = await send(configured, { path: '/needs/a' })
    expect([without.status, without.json['code'], upstream.calls.length]).toEqual([400, 'key_missing', 0])
    expect((await send(configured, { path: '/needs/a', key: freshKey() })).how).toBe('executed')
  })

  test.each(['PUT', 'DELETE'])('covers %s only where it says so', async (method) => {
    const key = freshKey()
    const outside = [await send(configured, { method, key }), await send(configured, { method, key })]
    expect(outside.map(({ how }) => how)).toEqual(['bypassed', 'bypassed'])
    expect(upstream.calls).toHaveLength(2)
    const inside = await send(configured, { method, path: '/put/a', key })
    expect([inside.how, (await send(configured, { method, path: '/put/a', key })).how]).toEqual([
      'executed',
      'replayed',
    ])
    expect(upstream.calls).toHaveLength(3)
  })

  test('with covered: false is passed through, and says so', async () => {
    const key = freshKey()
    expect((await send(configured, { path: '/free/a', key })).how).toBe('bypassed')
    await send(configured, { path: '/free/a', key })
    expect(upstream.calls).toHaveLength(2)
  })

  test.each(['GET', 'HEAD', 'OPTIONS', 'TRACE'])('ignores the key of %s', async (method) => {
    const key = freshKey()
    const answers = [await send(gateway, { method, key }), await send(gateway, { method, key })]
    expect(answers.map(({ how }) => how)).toEqual(['ignored', 'ignored'])
    expect(upstream.calls).toHaveLength(2)
  })

  test.each(['POST', 'PATCH'])('covers %s by default', async (method) => {
    const key = freshKey()
    await send(gateway, { method, key })
    expect((await send(gateway, { method, key })).how).toBe('replayed')
    expect(upstream.calls).toHaveLength(1)
  })

  test('has keys of its own by method and path, and one for all queries', async () => {
    const key = freshKey()
    expect((await send(gateway, { key, path: '/a' })).how).toBe('executed')
    expect((await send(gateway, { key, path: '/b' })).how).toBe('executed')
    expect((await send(gateway, { key, path: '/a', method: 'PATCH' })).how).toBe('executed')
    expect((await send(gateway, { key, path: '/a?x=1' })).status).toBe(422)
  })
})

/** Headers as they are, for Node's client refuses to send some of them. */
async function raw(to: GatewayProgram, headers: string[]): Promise<string> {
  const client = new RawClient(to.port)
  const lines = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1]}`] : []))
  client.write(
    `POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer alice\r\nConnection: close\r\n${lines.join('\r\n')}\r\nContent-Length: 2\r\n\r\n{}`,
  )
  await client.closed
  return client.text
}
