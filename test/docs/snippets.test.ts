/** Every JavaScript and TypeScript snippet of the pages is compiled against the built packages, or is in a file that a test runs. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { pages, root, textOf } from './markdown.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-snippets-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Snippet {
  readonly page: string
  /** Of its first line of code, from 1. */
  readonly line: number
  readonly language: string
  readonly code: string
}

/** The snippets of a page in these languages. */
function snippetsOf(page: string, markdown: string): Snippet[] {
  return [...markdown.matchAll(/^```(js|mjs|ts|mts)\n([\s\S]*?)^```$/gm)].map(
    ({ index, 1: language = '', 2: code = '' }) => ({
      page,
      line: markdown.slice(0, index).split('\n').length + 1,
      language,
      code,
    }),
  )
}

/** The tutorial is run as a whole (tutorial.test.ts). */
const written = pages
  .filter((page) => page !== 'docs/tutorial.md')
  .filter((page) => page === 'README.md' || page === 'CONTRIBUTING.md' || /^(?:docs|packages|examples)\//.test(page))
  .flatMap((page) => snippetsOf(page, textOf(page)))

/** The file that an excerpt names in its first line. */
function fileOf({ code }: Snippet): string | undefined {
  const [, path] = /^\/\/ (\S+\.m?[jt]s)\n/.exec(code) ?? []
  return path !== undefined && existsSync(join(root, path)) ? path : undefined
}

const excerpts = written.filter((snippet) => fileOf(snippet) !== undefined)
const compiled = written.filter((snippet) => fileOf(snippet) === undefined)

/** As a module: what is left out throws, and what returns stands in a function, on the same line each. */
function moduleOf({ code }: Snippet): string {
  const whole = code.replace(/\{ … \}/g, "{ throw new Error('left out') }").replace(/^(\s*)…$/gm, '$1')
  const returns = /^(?:return\b|if .*\breturn\b)/m.test(whole)
  return returns ? `export async function fragment() { ${whole}}` : `${whole}export {}`
}

/** What the compiler has against snippets, as `page:line: message`. */
function complaintsAbout(snippets: readonly Snippet[]): string[] {
  const place = mkdtempSync(join(folder, 'project-'))
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'))
  const files = snippets.map((snippet, at) => {
    const name = `snippet${at}.${snippet.language.includes('ts') ? 'mts' : 'mjs'}`
    writeFileSync(join(place, name), moduleOf(snippet))
    return name
  })
  const compilerOptions = {
    ...{ module: 'NodeNext', target: 'ES2023', lib: ['ES2023'], types: ['node'] },
    ...{ allowJs: true, checkJs: true, noEmit: true, skipLibCheck: true, experimentalDecorators: true },
    // A reader's JavaScript declares no types, and knows which of its variables are set.
    ...{ strict: true, noImplicitAny: false, strictNullChecks: false },
    allowImportingTsExtensions: true,
  }
  const ambient = join(root, 'test/docs/snippets/ambient.ts')
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [...files, ambient] }))
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', place, '--pretty', 'false'], { encoding: 'utf8' })
  return `${stdout}${stderr}`
    .split('\n')
    .filter((line) => /\berror\b/.test(line))
    .map((line) => {
      const [, at, row, message] = /snippet(\d+)\.m[jt]s\((\d+),\d+\): error (.*)/.exec(line) ?? []
      const snippet = snippets[Number(at)]
      return snippet === undefined ? line : `${snippet.page}:${snippet.line + Number(row) - 1}: ${message}`
    })
}

describe('the snippets', () => {
  test('are there, in pages of every kind', () => {
    expect(compiled.length).toBeGreaterThan(30)
    expect(excerpts.length).toBeGreaterThan(4)
    for (const part of ['README.md', 'docs/guide/', 'docs/reference/', 'packages/'])
      expect(compiled.filter(({ page }) => page.startsWith(part)).length, part).toBeGreaterThan(0)
  })
  test('compile against the built packages', () => {
    expect(complaintsAbout(compiled)).toEqual([])
  })
  test('that name a file are in it, line for line and in order', () => {
    const wrong = excerpts.filter((snippet) => {
      const lines = textOf(fileOf(snippet) ?? '')
        .split('\n')
        .map((line) => line.trim())
      let from = 0
      return !snippet.code
        .trimEnd()
        .split('\n')
        .slice(1)
        .every((line) => {
          const at = line.trim() === '' ? from : lines.indexOf(line.trim(), from)
          from = at + (line.trim() === '' ? 0 : 1)
          return at >= 0
        })
    })
    expect(wrong.map(({ page, line }) => `${page}:${line}`)).toEqual([])
  })
  test('use every name that is declared for them', () => {
    const declared = [...textOf('test/docs/snippets/ambient.ts').matchAll(/^ {2}(?:const|function) (\w+)/gm)]
    const code = compiled.map((snippet) => snippet.code).join('\n')
    expect(declared.length).toBeGreaterThan(20)
    expect(declared.filter(([, name]) => !new RegExp(`\\b${name}\\b`).test(code)).map(([, name]) => name)).toEqual([])
  })
})

test('the control: a wrong option, a missing export, an unknown member and an unknown name are found, each in its line', () => {
  const planted = [
    "import { createIdempotency } from 'oncekey'\ncreateIdempotency({ store, onAbandonned: 'unknown' })",
    "import { createIdempotencies } from 'oncekey'",
    'await attempt.dispatched()',
    'await chargeTwice(order)',
  ]
  const markdown = planted.map((code) => `\`\`\`js\n${code}\n\`\`\``).join('\n')
  const found = complaintsAbout(snippetsOf('planted.md', markdown))
  for (const line of [3, 6, 9, 12]) expect(found.filter((one) => one.startsWith(`planted.md:${line}:`))).toHaveLength(1)
  expect(found).toHaveLength(4)
  const half = "```js\nonce.run({ key: 'k' }, async () => {\n```\n"
  expect(complaintsAbout(snippetsOf('planted.md', half))).toEqual([expect.stringMatching(/^planted\.md:\d: TS1005/)])
})
