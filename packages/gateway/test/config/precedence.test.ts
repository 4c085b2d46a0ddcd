/** Who says what holds for a request: the user's routes, the preset, the top level, each option for itself. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { cpuMs } from '../../../oncekey/test/cpu.ts'
import { loadGatewayConfig } from '../../src/config/load.ts'
import { type GatewayRoute, type Match, optionsFor, Routes } from '../../src/server/routing.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-precedence-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function routesOf(text: string, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}, upstream = ''): Routes {
  const path = join(folder, `${files++}.yaml`)
  writeFileSync(path, text)
  const config = loadGatewayConfig(['--config', path, ...flags], env)
  const routes = config?.routes.get(upstream)
  if (routes === undefined) throw new Error(`no upstream is called "${upstream}"`)
  return new Routes(routes)
}

function held(text: string, request: string, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): GatewayRoute {
  const [method = '', path = ''] = request.split(' ')
  return routesOf(text, flags, env).match(method, path).options
}

const policyOf = ({ policy }: GatewayRoute): [string, number] => [policy.onAbandoned, policy.retentionMs / 3_600_000]
const openai = 'upstream: https://api.openai.com\n'
const batches = 'POST /v1/batches'
const chat = 'POST /v1/chat/completions'

describe('each option comes from', () => {
  test('the default, where nobody says anything', () => {
    expect(policyOf(held(openai, chat))).toEqual(['reexecute', 24])
  })
  test('the preset, where it is more careful than the default', () => {
    expect(policyOf(held(openai, batches))).toEqual(['unknown', 72])
  })
  test('the preset, where it is more careful than what the top level says, wherever that is said', () => {
    const said = ['unknown', 72]
    const less = ['--on-abandoned', 'reexecute', '--retention', '1h']
    expect(policyOf(held(openai, batches, less))).toEqual(said)
    const env = { ONCEKEY_ON_ABANDONED: 'reexecute', ONCEKEY_RETENTION: '1h' }
    expect(policyOf(held(openai, batches, [], env))).toEqual(said)
    expect(policyOf(held(`${openai}onAbandoned: reexecute\nretention: 1h\n`, batches))).toEqual(said)
    expect(policyOf(held(openai, chat, less))).toEqual(['reexecute', 1])
  })
  test('the top level, where that is the more careful one', () => {
    const more = ['--on-abandoned', 'unknown', '--retention', '7d']
    expect(policyOf(held(openai, batches, more))).toEqual(['unknown', 168])
    expect(policyOf(held(openai, chat, more))).toEqual(['unknown', 168])
  })
  test('the user’s route before all, less careful or not', () => {
    const own = `${openai}routes: [{ path: /v1/batches, onAbandoned: reexecute, retention: 1h }]\n`
    expect(policyOf(held(own, batches))).toEqual(['reexecute', 1])
    expect(policyOf(held(own, batches, ['--on-abandoned', 'unknown', '--retention', '7d']))).toEqual(['reexecute', 1])
  })
  test('the preset, where the user’s route is silent about it', () => {
    const own = `${openai}wait: 5m\nroutes: [{ path: '/v1/*', maxBody: 1kb, keyless: off }]\n`
    const options = held(own, batches)
    expect(policyOf(options)).toEqual(['unknown', 72])
    expect([options.maxBodyBytes, options.keyless, options.policy.waitMs]).toEqual([1024, 'off', 300_000])
  })
  test('the first of the user’s routes alone, not from those behind it', () => {
    const own = `${openai}routes: [{ path: /v1/a, wait: 1m }, { path: '/v1/*', wait: 2m, maxBody: 1kb }]\n`
    expect([held(own, 'POST /v1/a').policy.waitMs, held(own, 'POST /v1/a').maxBodyBytes]).toEqual([60_000, 67_108_864])
  })
})

describe('limits of a route', () => {
  const own = `${openai}routes: [{ path: /v1/a, maxBody: 1kb, maxOutcome: 2kb, upstreamTimeout: 3s }]\n`
  test('hold there and nowhere else', () => {
    const limits = ({ maxBodyBytes, maxOutcomeBytes, upstreamTimeoutMs }: GatewayRoute): number[] => [
      maxBodyBytes,
      maxOutcomeBytes,
      upstreamTimeoutMs,
    ]
    expect(limits(held(own, 'POST /v1/a'))).toEqual([1024, 2048, 3000])
    expect(limits(held(own, 'POST /v1/b'))).toEqual([67_108_864, 67_108_864, 1_800_000])
  })
})

describe('a preset', () => {
  test('covers no method that the top level does not', () => {
    expect(held(openai, 'DELETE /v1/batches').methods).toEqual(['POST', 'PATCH'])
    expect(policyOf(held(`${openai}methods: [POST, DELETE]\n`, 'DELETE /v1/batches'))).toEqual(['reexecute', 24])
  })
  test('leaves mismatch, keyless and the rest alone', () => {
    const { policy: _, ...batch } = held(openai, batches)
    const { policy: __, ...plain } = held('upstream: [{ url: http://a, preset: none }]\n', batches)
    expect(batch).toEqual(plain)
  })
  test('sees the path with that of the upstream’s URL in front, and without slashes at the end', () => {
    const prefixed = 'upstream: https://openrouter.ai/api/v1\n'
    expect(policyOf(held(prefixed, 'POST /chat/completions'))[0]).toBe('reexecute')
    expect(policyOf(held(prefixed, 'POST /keys'))[0]).toBe('unknown')
    expect(policyOf(held('upstream: http://10.0.0.1\n', 'POST /v1/batches/'))[0]).toBe('unknown')
  })
  test('holds for its upstream and for no other', () => {
    const two = 'upstream: { one: https://api.openai.com, two: { url: http://10.0.0.1, preset: none } }\n'
    const asked = (name: string): string =>
      routesOf(two, [], {}, name).match('POST', '/v1/batches').options.policy.onAbandoned
    expect([asked('one'), asked('two')]).toEqual(['unknown', 'reexecute'])
  })
  test('is overridden by a flag’s upstream as a whole', () => {
    const none = 'upstream: [{ url: https://api.openai.com, preset: none }]\n'
    expect(policyOf(held(none, batches, ['--upstream', 'https://api.openai.com']))[0]).toBe('unknown')
  })
})

describe('a member of the body', () => {
  const match: Match = routesOf(openai).match('POST', '/v1/responses')
  const asked = (body: string): string => optionsFor(match, Buffer.from(body)).policy.onAbandoned

  test.each(['{"background": true}', '{"input": "a", "background":true}'])('makes %s long work', (body) => {
    expect(asked(body)).toBe('unknown')
  })
  test.each([
    '',
    '{}',
    '{"background": false}',
    '{"background": "true"}',
    '{"input": "\\"background\\": true"}',
    '{"metadata": {"background": true}}',
    '["background"]',
    'null "background"',
    '{"background": true',
  ])('does not make it of %s', (body) => {
    expect(asked(body)).toBe('reexecute')
  })
  test('is overridden by the user’s route like every rule of a preset', () => {
    const own = routesOf(`${openai}routes: [{ path: /v1/responses, onAbandoned: reexecute }]\n`)
    const body = Buffer.from('{"background": true}')
    expect(optionsFor(own.match('POST', '/v1/responses'), body).policy.onAbandoned).toBe('reexecute')
  })
})

describe('a star', () => {
  const covers = (path: string, asked: string): boolean =>
    held(`upstream: http://a\nroutes: [{ path: '${path}', covered: false }]\n`, `POST ${asked}`).covered === false

  test.each([
    ['/a', '/a'],
    ['/a*', '/a'],
    ['/a*', '/a/b/c'],
    ['*', '/'],
    ['*/c', '/a/b/c'],
    ['/a/*/c', '/a/b/b/c'],
    ['/a/*/c', '/a//c'],
    ['/a*b*c', '/axbxbxc'],
    ['**', '/a'],
    ['/a**c', '/ac'],
  ])('%s matches %s', (path, asked) => expect(covers(path, asked)).toBe(true))
  test.each([
    ['/a', '/a/'],
    ['/a', '/ab'],
    ['/a*', '/b/a'],
    ['*/c', '/a/c/d'],
    ['/a/*/c', '/a/c'],
    ['/ab*ba', '/aba'],
    ['/a*b*c', '/acxb'],
    ['/a.c', '/abc'],
  ])('%s does not match %s', (path, asked) => expect(covers(path, asked)).toBe(false))
  test('costs no more than the length of the path, however many there are', () => {
    const rules = routesOf(`upstream: http://a\nroutes: [{ path: '${'/*a'.repeat(20)}/b' }]\n`)
    expect(cpuMs(() => rules.match('POST', '/a'.repeat(30_000)))).toBeLessThan(500)
  })
})
