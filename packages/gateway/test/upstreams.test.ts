/** Several upstreams by name, paths in front, and routes of the configuration file (gateway.md). */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshKey, type GatewayProgram, type ScriptedUpstream, send, startGateway, startUpstream } from './harness.ts'

let one: ScriptedUpstream
let two: ScriptedUpstream
let named: GatewayProgram

beforeAll(async () => {
  one = await startUpstream()
  two = await startUpstream()
  named = await startGateway(undefined, ['--upstream', `one=${one.url}`, '--upstream', `two=${two.url}/base/`])
})
afterAll(async () => {
  await named.kill()
  one.close()
  two.close()
})
beforeEach(() => {
  one.reset()
  two.reset()
})

describe('several upstreams', () => {
  test('are picked by the first segment, which does not go on', async () => {
    await send(named, { key: freshKey(), path: '/one/v1/a?x=1' })
    await send(named, { method: 'GET', path: '/two/v1/b' })
    expect([one.calls.map(({ url }) => url), two.calls.map(({ url }) => url)]).toEqual([['/v1/a?x=1'], ['/base/v1/b']])
    expect([one.calls[0]?.headers.host, two.calls[0]?.headers.host]).toEqual([
      new URL(one.url).host,
      new URL(two.url).host,
    ])
  })

  test.each([
    ['/one', '/'],
    ['/one?a=1', '/?a=1'],
    ['/one/', '/'],
    ['/one//x', '//x'],
    ['/one/%2Fx/', '/%2Fx/'],
  ])('get the rest of the path to the byte: %s', async (path, url) => {
    await send(named, { method: 'GET', path })
    expect(one.calls.map((call) => call.url)).toEqual([url])
  })

  test.each([
    '/three/v1',
    '/',
    '/One/v1',
    '/onex/v1',
    '//one/v1',
    '/%6Fne/v1',
    '/../one/v1',
    '/constructor/v1',
    '/?one',
  ])('with another name are unknown: %s', async (path) => {
    for (const method of ['GET', 'POST']) {
      const answer = await send(named, { method, path, key: freshKey() })
      expect([answer.status, answer.how, answer.json['code']]).toEqual([404, 'refused', 'unknown_upstream'])
      expect(answer.json['detail']).toContain('/one/')
    }
    expect(one.calls.length + two.calls.length).toBe(0)
  })

  test('have keys of their own', async () => {
    const key = freshKey()
    expect((await send(named, { key, path: '/one/v1/a' })).how).toBe('executed')
    expect((await send(named, { key, path: '/two/v1/a' })).how).toBe('executed')
    expect((await send(named, { key, path: '/one/v1/a' })).how).toBe('replayed')
  })
})

test('an upstream without a name takes every path that no name takes', async () => {
  const mixed = await startGateway(one, ['--upstream', `two=${two.url}`])
  await send(mixed, { method: 'GET', path: '/two/a' })
  await send(mixed, { method: 'GET', path: '/twofold/a' })
  expect([two.calls.map(({ url }) => url), one.calls.map(({ url }) => url)]).toEqual([['/a'], ['/twofold/a']])
  await mixed.kill()
})

test('a path in the URL of an upstream is put in front, before any path', async () => {
  const based = await startGateway(`${one.url}/api/v2`)
  for (const path of ['/a', '//a', '/a?b', '/']) await send(based, { method: 'GET', path })
  expect(one.calls.map(({ url }) => url)).toEqual(['/api/v2/a', '/api/v2//a', '/api/v2/a?b', '/api/v2/'])
  await based.kill()
})

describe('routes of a file', () => {
  let routed: GatewayProgram
  beforeAll(async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'oncekey-routes-')), 'oncekey.yaml')
    writeFileSync(
      file,
      `upstream:
  one: ${one.url}
  two: ${two.url}
requireKey: true
routes:
  - { path: '/v1/free', covered: false }
  - { path: '/v1/*', upstream: two, requireKey: false, keyless: off }
  - { path: '/v1/get.that', methods: [PUT] }
  - { path: '*/end', requireKey: false }
`,
    )
    routed = await startGateway(undefined, ['--config', file])
  })
  afterAll(() => routed.kill())

  const how = async (path: string, method = 'POST'): Promise<string | number> => {
    const answer = await send(routed, { path, method })
    return answer.status === 200 ? (answer.how ?? '') : `${answer.status}`
  }

  test('match the path without the upstream’s name, and the first match wins', async () => {
    expect(await how('/one/v1/free')).toBe('bypassed')
    expect(await how('/two/v1/free')).toBe('bypassed')
    expect(await how('/two/v1/any/thing')).toBe('ignored')
    expect(await how('/one/v1/any/thing')).toBe('400')
  })

  test('take a star for any rest, and nothing else for a pattern', async () => {
    expect(await how('/one/a/b/end')).toBe('executed')
    expect(await how('/one/a/b/ending')).toBe('400')
    expect(await how('/one/v1/get.that', 'PUT')).toBe('400')
    expect(await how('/one/v1/getXthat', 'PUT')).toBe('bypassed')
    expect(await how('/one/v1/free/more')).toBe('400')
  })

  test('see the path without its query', async () => {
    expect(await how('/one/v1/free?x=/v1/other')).toBe('bypassed')
    expect(await how('/one/other?/v1/free')).toBe('400')
  })
})
