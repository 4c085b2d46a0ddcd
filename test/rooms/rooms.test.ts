/** The gate itself: each room rule, size limit and lint that we rely on refuses a planted violation. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const tree = mkdtempSync(join(tmpdir(), 'oncekey-rooms-'))

/** The rules that Biome finds broken, by file, in a tree of the project's shape that holds only what was planted. */
function lint(planted: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const config: unknown = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'))
  writeFileSync(
    join(tree, 'biome.json'),
    JSON.stringify({ ...(config as object), $schema: undefined, vcs: { enabled: false } }),
  )
  for (const [path, text] of planted) {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    writeFileSync(join(tree, path), text)
  }
  const biome = join(root, 'node_modules/.bin/biome')
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '.']
  const { stdout } = spawnSync(biome, args, { cwd: tree, encoding: 'utf8', maxBuffer: 1e8 })
  const report = JSON.parse(stdout) as {
    diagnostics: { category: string; severity: string; location: { path: string } }[]
  }
  const found = new Map<string, string[]>([...planted.keys()].map((path) => [path, []]))
  for (const { category, severity, location } of report.diagnostics) {
    if (severity === 'error') found.get(location.path)?.push(category)
  }
  return found
}

afterAll(() => rmSync(tree, { recursive: true, force: true }))

const library = 'packages/oncekey/src'
const gateway = 'packages/gateway/src'

const forbidden: readonly (readonly [string, string])[] = [
  [`${library}/core`, "import { readFileSync } from 'node:fs'\nexport const read = readFileSync\n"],
  [`${library}/core`, "import type { Store } from '../stores/memory.ts'\nexport type Mine = Store\n"],
  [`${library}/core`, "import { Pool } from 'undici'\nexport const pool = Pool\n"],
  [`${library}/platform`, "import { pump } from '../http/pump.ts'\nexport const p = pump\n"],
  [`${library}/stores`, "import { pump } from '../http/pump.ts'\nexport const p = pump\n"],
  [`${library}/providers`, "import { memoryStore } from '../stores/memory.ts'\nexport const m = memoryStore\n"],
  [`${library}/providers`, "import type { RawHeaders } from '../http/headers.ts'\nexport type R = RawHeaders\n"],
  [`${library}/http`, "import { memoryStore } from '../stores/memory.ts'\nexport const m = memoryStore\n"],
  [`${library}/http`, "import { createServer } from 'node:http'\nexport const s = createServer\n"],
  [`${library}/testing`, "import { memoryStore } from '../stores/memory.ts'\nexport const m = memoryStore\n"],
  [`${gateway}/server`, "import { Upstream } from '../forward/upstream.ts'\nexport const u = Upstream\n"],
  [`${gateway}/server`, "import { lmdbStore } from 'oncekey/lmdb'\nexport const l = lmdbStore\n"],
  [`${gateway}/forward`, "import { main } from '../cli/main.ts'\nexport const m = main\n"],
  [`${gateway}/cli`, "import { Gateway } from '../server/gateway.ts'\nexport const g = Gateway\n"],
]

const allowed: readonly (readonly [string, string])[] = [
  [`${library}/core`, "import { limits } from './policy.ts'\nexport const l = limits\n"],
  [
    `${library}/platform`,
    "import { hash } from 'node:crypto'\nimport { limits } from '../core/policy.ts'\nexport const l = [limits, hash]\n",
  ],
  [`${library}/stores`, "import { limits } from '../core/policy.ts'\nexport const l = limits\n"],
  [`${library}/http`, "import { streamScanner } from '../providers/index.ts'\nexport const s = streamScanner\n"],
  [`${gateway}/server`, "import { Upstream } from '../forward/index.ts'\nexport const u = Upstream\n"],
  [`${gateway}/cli`, "import { lmdbStore } from 'oncekey/lmdb'\nexport const l = lmdbStore\n"],
]

const long = Array.from({ length: 80 }, (_, at) => `  calls.push(${at})`).join('\n')

const violations: readonly (readonly [string, string])[] = [
  ['noExplicitAny', 'export const x: any = 1\n'],
  ['noEnum', 'export enum E { a }\n'],
  ['noExcessiveLinesPerFunction', `export function f(calls: number[]): void {\n${long}\n}\n`],
  ['noFloatingPromises', 'async function work(): Promise<void> {}\nexport function start(): void {\n  work()\n}\n'],
  ['noExcessiveLinesPerFile', `${Array.from({ length: 310 }, (_, at) => `export const n${at} = ${at}`).join('\n')}\n`],
]

const planted = new Map<string, string>([
  ...forbidden.map(([folder, text], at) => [`${folder}/forbidden${at}.ts`, text] as const),
  ...allowed.map(([folder, text], at) => [`${folder}/allowed${at}.ts`, text] as const),
  ...violations.map(([rule, text]) => [`${library}/core/${rule}.ts`, text] as const),
  [`${library}/core/cycle-a.ts`, "import { b } from './cycle-b.ts'\nexport const a = (): number => b() + 1\n"],
  [`${library}/core/cycle-b.ts`, "import { a } from './cycle-a.ts'\nexport const b = (): number => a() + 1\n"],
])
const found = lint(planted)

describe('room rules', () => {
  for (const [at, [folder, text]] of forbidden.entries()) {
    test(`${folder} refuses ${text.split('\n')[0]}`, () => {
      expect(found.get(`${folder}/forbidden${at}.ts`)).toContain('lint/style/noRestrictedImports')
    })
  }
  for (const [at, [folder, text]] of allowed.entries()) {
    test(`${folder} allows ${text.split('\n')[0]}`, () => {
      expect(found.get(`${folder}/allowed${at}.ts`)).toEqual([])
    })
  }
})

describe('limits and lints', () => {
  for (const [rule] of violations) {
    test(`${rule} refuses what it is there for`, () => {
      expect(found.get(`${library}/core/${rule}.ts`)?.join()).toContain(rule)
    })
  }
  test('noImportCycles refuses two files that import each other', () => {
    expect(found.get(`${library}/core/cycle-a.ts`)).toContain('lint/suspicious/noImportCycles')
  })
})
