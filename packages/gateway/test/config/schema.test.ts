/** The JSON Schema for editors: it is the parser's own, and takes what the parser takes, no more and no less. */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { checked, placeIn } from '../../src/config/mistakes.ts'
import { fileKey } from '../../src/config/option.ts'
import { gatewayOptions } from '../../src/config/options.ts'
import { fileSchema, jsonSchema } from '../../src/config/schema.ts'

const shipped = JSON.parse(readFileSync(new URL('../../config.schema.json', import.meta.url), 'utf8')) as {
  readonly properties: Readonly<Record<string, { readonly description?: string; readonly default?: unknown }>>
}
const byEditor = new Ajv({ strict: true, allowUnionTypes: true }).compile(shipped)

/** What the gateway says about a file; undefined when it takes it. */
function refusal(text: string): string | undefined {
  try {
    checked(fileSchema, parse(text) ?? {}, placeIn('once.yaml'))
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const good = [
  '',
  '{}',
  '$schema: ./config.schema.json',
  'upstream: https://api.openai.com',
  'upstream: HTTP://127.0.0.1:8080/base/',
  'upstream: http://[::1]:80',
  'upstream: "sandbox:"',
  'upstream: "one=http://a, two=http://b/c"',
  'upstream: [http://a, two=http://b]',
  'upstream: [{ url: http://a, preset: ollama }, { name: b, url: http://b }]',
  'upstream: { one: http://a, t.w-o_2: { url: "sandbox:", preset: none } }',
  'upstream: {}',
  'upstream: []',
  'port: 0',
  'port: 65535',
  'port: "8787"',
  'port: " 007 "',
  'workers: 256',
  'workers: "10"',
  'host: "::"',
  'store: "memory:"',
  'noMigrate: true',
  'failOpen: yes',
  'failOpen: "FALSE"',
  'failOpen: 1',
  'lease: 500ms',
  'lease: 0.5s',
  'lease: 0.1m',
  'lease: 1.5h',
  'lease: " 30s "',
  'retention: 0.5ms',
  'retention: 365d',
  'wait: 0s',
  'skew: 0ms',
  'maxBody: 64mb',
  'maxBody: 1.5GB',
  'maxBody: 1024',
  'maxBody: "1024"',
  'maxOutcome: 0',
  'tenantRecords: 1',
  'tenantBytes: 0.5gb',
  'tenantBytes: 1',
  'onAbandoned: unknown',
  'keyless: off',
  'tenantHeader: X-Team',
  'methods: [POST, PUT]',
  'methods: POST,DELETE',
  'keyAliases: []',
  'ignore: [metadata.trace_id, "$.messages[*].id", "[0].a", "a[0][*].b", "$a", ".a"]',
  'ignore: metadata.trace_id, messages[*].id',
  'classify: { 404: not_executed, 5xx: final, "429": indeterminate }',
  'classify: {}',
  'prices: { my-model: { input: 0.4, output: 1.6 }, "ft:*": { input: 0, output: 4, cacheRead: 0.08, cacheWrite: 1 } }',
  'routes: []',
  'routes: [{ path: /v1/* }, { path: "*", covered: no }]',
  'routes: [{ path: /a, methods: [PUT], upstream: one, maxBody: 1kb, maxOutcome: 1kb, upstreamTimeout: 5s }]',
  'routes: [{ path: /a, classify: { 503: indeterminate }, ignore: [a.b], wait: 1m, retention: 72h, replayHeaders: [x] }]',
]

const bad = [
  '- a',
  'text',
  '3',
  'upstreem: http://a',
  'constructor: 1',
  '__proto__: 1',
  'config: other.yaml',
  'upstream: api.openai.com',
  'upstream: ftp://a',
  'upstream: https://a/?x=1',
  'upstream: https://a/#x',
  'upstream: https://user:hunter2@a',
  'upstream: "http://a b"',
  'upstream: 3',
  'upstream: null',
  'tenantRecords: 0',
  'tenantBytes: 0',
  'tenantBytes: "00.0 "',
  'tenantBytes: 0kb',
  'upstream: [3]',
  'upstream: [{ preset: ollama }]',
  'upstream: [{ url: http://a, preset: nobody }]',
  'upstream: [{ name: a b, url: http://a }]',
  'upstream: { "a b": http://a }',
  'upstream: { a: { url: http://a, presett: ollama } }',
  'upstream: { a: 3 }',
  'port: 65536',
  'port: -1',
  'port: 1.5',
  'port: "65536"',
  'port: "1e3"',
  'port: true',
  'workers: 0',
  'workers: "0"',
  'workers: "257"',
  'host: ""',
  'host: " "',
  'host: 1',
  'store: [a]',
  'failOpen: maybe',
  'failOpen: 2',
  'failOpen: null',
  'lease: 30',
  'lease: soon',
  'lease: 499ms',
  'lease: 0.4s',
  'lease: 499.9ms',
  'lease: 0h',
  'retention: 0s',
  'retention: 0.0d',
  'retention: -1s',
  'upstreamTimeout: 0m',
  'wait: 1 m',
  'wait: 1w',
  'maxBody: big',
  'maxBody: -1',
  'maxBody: 1.5',
  'maxBody: 1tb',
  'onAbandoned: retry',
  'onAbandoned: reconcile',
  'keyless: true',
  'tenantHeader: X Team',
  'methods: { POST: 1 }',
  'methods: [1]',
  'ignore: ["a..b"]',
  'ignore: ["$"]',
  'ignore: ["a[b]"]',
  'ignore: ["a.[0]"]',
  'ignore: "a,,b"',
  'classify: { 99: final }',
  'classify: { 1xx: final }',
  'classify: { 600: final }',
  'classify: { 404: maybe }',
  'classify: [final]',
  'classify: final',
  'prices: [1]',
  'prices: { my-model: 3 }',
  'prices: { my-model: { input: 1 } }',
  'prices: { my-model: { input: -1, output: 1 } }',
  'prices: { my-model: { input: .inf, output: 1 } }',
  'prices: { my-model: { input: 1, output: 1, cached: 1 } }',
  'routes: [{ path: /a, prices: {} }]',
  'routes: { path: /a }',
  'routes: [/a]',
  'routes: [{ covered: false }]',
  'routes: [{ path: a }]',
  'routes: [{ path: 1 }]',
  'routes: [{ path: /a, frob: 1 }]',
  'routes: [{ path: /a, port: 1 }]',
  'routes: [{ path: /a, lease: 30s }]',
  'routes: [{ path: /a, upstream: 3 }]',
  'routes: [{ path: /a, retention: 0s }]',
  'routes: [{ path: /a, mismatch: maybe }]',
  'routes: [{ path: /a, methods: PUT, classify: { 2: final } }]',
]

/** What no pattern can tell: numbers inside texts, and values that are compared with each other. */
const beyondPatterns = [
  'upstream: http://a:99999',
  'upstream: http://[::g]',
  'upstream: [a=http://x, a=http://y]',
  'upstream: [http://x, http://y]',
  'lease: 0.001m',
]

describe('config.schema.json', () => {
  test('is what the parser’s schema amounts to: run npm run build && node scripts/config-schema.mjs', () => {
    expect(shipped).toEqual(JSON.parse(JSON.stringify(jsonSchema())))
  })
  test('describes every option of a file, with its default', () => {
    const options = gatewayOptions.filter(({ flag }) => flag !== 'config')
    expect(Object.keys(shipped.properties)).toEqual(['$schema', ...options.map(({ flag }) => fileKey(flag)), 'routes'])
    for (const { flag, help, default: value } of options) {
      const property = shipped.properties[fileKey(flag)]
      expect([flag, property?.description, String(property?.default ?? '')]).toEqual([flag, help, value])
    }
  })
  test.each(good)('takes with the parser: %s', (text) => {
    expect([refusal(text), byEditor(parse(text) ?? {})]).toEqual([undefined, true])
  })
  test.each(bad)('refuses with the parser: %s', (text) => {
    expect([refusal(text) === undefined, byEditor(parse(text) ?? {})]).toEqual([false, false])
  })
  test.each(beyondPatterns)('leaves to the parser what no pattern can tell: %s', (text) => {
    expect([refusal(text) === undefined, byEditor(parse(text) ?? {})]).toEqual([false, true])
  })
  test.each([...bad, ...beyondPatterns])('one sentence names the file: %s', (text) => {
    const sentence = refusal(text) ?? ''
    expect(sentence).toMatch(/^\S.* ?once\.yaml .+[.?]$|^once\.yaml .+[.?]$|https:\/\/api\.openai\.com$/)
    expect(sentence).not.toMatch(/\n|undefined|\[object|hunter2|Invalid|expected/)
  })
  test.each([
    ['upstream: { a: 3 }', 'upstream.a in once.yaml is 3 and must be a URL, or url and preset.'],
    ['upstream: [{ preset: ollama }]', 'upstream[0].url in once.yaml is missing and must be a URL such as'],
    [
      'upstream: { a: { url: http://a, preset: x } }',
      'upstream.a.preset in once.yaml is "x" and must be one of openai',
    ],
    ['ignore: [a, "b..c"]', 'ignore[1] in once.yaml is "b..c" and must be a JSON path'],
    ['routes: [{ path: /a }, { path: /b, classify: { 404: no } }]', 'routes[1].classify.404 in once.yaml is "no"'],
    ['port: 70000', 'port in once.yaml is 70000 and must be a whole number from 0 to 65535.'],
    [
      'routes: [{ path: /a, lease: 30s }]',
      'routes[0] in once.yaml has the unknown key "lease"; known are path, methods',
    ],
  ])('the sentence is about the innermost mistake: %s', (text, beginning) => {
    expect(refusal(text)).toMatch(new RegExp(`^${beginning.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`))
  })
})
