/** The configuration on whatever stands in a file, a variable or a flag: it is right, or one sentence says what is not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { cpuMs } from '../../../oncekey/test/cpu.ts'
import { readEncryption } from '../../src/config/encryption.ts'
import { loadConfigFile, loadGatewayConfig } from '../../src/config/load.ts'
import { fileKey, variable } from '../../src/config/option.ts'
import { gatewayOptions } from '../../src/config/options.ts'
import { UsageError } from '../../src/config/usage.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-fuzz-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'oncekey.yaml')

/** Runs it; a UsageError of one line is an answer, anything else is a bug. */
function refusing(run: () => unknown): 'right' | 'refused' {
  try {
    run()
    return 'right'
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    expect(error.message).not.toMatch(/\n|\bat .*:\d+:\d+|undefined|\[object/)
    return 'refused'
  }
}

/** Values that are nearly right, and everything else. */
const value = fc.oneof(
  fc.constantFrom(
    '30s',
    '-1',
    '1e9d',
    '64mb',
    '99999999999gb',
    'https://a.example',
    'a=https://b.example',
    'http://[',
    'sandbox:',
    'true',
    'reexecute',
    'x-tenant',
    '400',
    '0',
    '',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.jsonValue({ maxDepth: 3 }),
)
const key = fc.oneof(
  fc.constantFrom(...gatewayOptions.map(({ flag }) => fileKey(flag)), 'routes', '__proto__', 'constructor'),
  fc.string({ maxLength: 8 }),
)
const route = fc.dictionary(fc.oneof(key, fc.constantFrom('path', 'upstream', 'methods')), value, { maxKeys: 5 })
const written = fc.oneof(
  fc.dictionary(key, value, { maxKeys: 6 }),
  fc.record({ upstream: fc.constant('sandbox:'), routes: fc.array(route, { maxLength: 3 }) }),
  fc.jsonValue(),
)
const runs = { numRuns: 600 }

test('a file of any JSON is right or refused in one sentence', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(written, (content) => {
      writeFileSync(file, JSON.stringify(content))
      seen.add(refusing(() => loadConfigFile(file)))
    }),
    runs,
  )
  expect([...seen].sort()).toEqual(['refused', 'right'])
})

test('a file of any text is right or refused in one sentence', () => {
  const pieces = fc.array(
    fc.constantFrom(
      'routes:',
      '\n',
      '  - ',
      'path: ',
      '&a ',
      '*a',
      '!!js ',
      '? ',
      '|',
      '>',
      '"',
      "'",
      '{',
      '}',
      '[',
      ',',
      ': ',
      '#',
      '\t',
      '%YAML 2.0',
      '---',
      '...',
      'lease: 30s',
      '<<: *a',
      'é',
      '\u0000',
    ),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        pieces.map((parts) => parts.join('')),
        fc.string({ unit: 'binary' }),
      ),
      (text) => {
        writeFileSync(file, text)
        refusing(() => loadConfigFile(file))
      },
    ),
    runs,
  )
})

test('a tag that nobody knows is refused, where YAML itself would only warn', () => {
  writeFileSync(file, 'lease: !!seconds 30s\n')
  expect(() => loadConfigFile(file)).toThrow(/neither YAML nor JSON: Unresolved tag/)
})

test('a file whose aliases would unfold without end is refused, and in time', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
  for (let level = 1; level < 10; level++)
    lines.push(
      `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(', ')}]`,
    )
  writeFileSync(file, lines.join('\n'))
  expect(cpuMs(() => expect(refusing(() => loadConfigFile(file))).toBe('refused'))).toBeLessThan(5_000)
})

test('any flag and any variable is right or refused in one sentence', () => {
  const text = fc.oneof(
    value.filter((given) => typeof given === 'string'),
    fc.string({ maxLength: 30 }),
  ) as fc.Arbitrary<string>
  const option = fc.constantFrom(
    ...gatewayOptions.filter(({ fileOnly, flag }) => fileOnly !== true && flag !== 'config'),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(option, text, fc.boolean()), { maxLength: 4 }), (given) => {
      const args = given.flatMap(([{ flag, kind }, said, isFlag]) =>
        isFlag ? [`--${flag}`, ...(kind === 'boolean' ? [] : [said])] : [],
      )
      const env = Object.fromEntries(
        given.flatMap(([{ flag }, said, isFlag]) => (isFlag ? [] : [[variable(flag), said]])),
      )
      refusing(() => loadGatewayConfig(args, env))
    }),
    runs,
  )
})

test('a key file of any text holds keys or is refused, and the sentence repeats none of it', () => {
  const lines = fc.array(
    fc.oneof(
      fc.constant(`k1 ${Buffer.alloc(32, 7).toString('base64')}`),
      fc.string({ unit: 'binary', minLength: 12 }),
      fc.constant('#'),
    ),
    { maxLength: 4 },
  )
  const path = join(folder, 'keys')
  fc.assert(
    fc.property(lines, (text) => {
      writeFileSync(path, text.join('\n'), { mode: 0o600 })
      try {
        expect(readEncryption(path, '--encryption-key-file')?.keys.length).toBeGreaterThan(0)
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        for (const line of text) if (line.trim().length > 11) expect(error.message).not.toContain(line.trim())
      }
    }),
    runs,
  )
})
