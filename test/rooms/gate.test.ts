/** The scripts of the gate: the file size limit, and the line with which CI counts tests. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root } from './biome.ts'

let tree = ''
beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'oncekey-gate-'))
})
afterEach(() => rmSync(tree, { recursive: true, force: true }))

function plant(path: string, text: string): string {
  mkdirSync(dirname(join(tree, path)), { recursive: true })
  writeFileSync(join(tree, path), text)
  return join(tree, path)
}

function run(script: string, args: readonly string[], ci = true): { code: number | null; out: string; err: string } {
  const { CI: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts', script), ...args], {
    encoding: 'utf8',
    env: ci ? { ...env, CI: 'true' } : env,
  })
  return { code: status, out: stdout, err: stderr }
}

describe('check-sizes', () => {
  test('a file of 301 lines is refused by name', () => {
    plant('packages/a/src/core/long.ts', '//\n'.repeat(301))
    const { code, err } = run('check-sizes.mjs', [tree])
    expect(code).toBe(1)
    expect(err).toBe('packages/a/src/core/long.ts: 301 lines, at most 300\n')
  })

  test('a file of 300 lines passes', () => {
    plant('packages/a/src/core/full.ts', '//\n'.repeat(300))
    expect(run('check-sizes.mjs', [tree])).toMatchObject({ code: 0, err: '' })
  })

  test('a package without source files fails', () => {
    mkdirSync(join(tree, 'packages/a/src'), { recursive: true })
    plant('packages/b/src/one.ts', '//\n')
    const { code, err } = run('check-sizes.mjs', [tree])
    expect(code).toBe(1)
    expect(err).toBe('packages/a/src: no source file found\n')
  })

  test('a tree without packages fails', () => {
    mkdirSync(join(tree, 'packages'))
    expect(run('check-sizes.mjs', [tree]).code).toBe(1)
  })
})

describe('count-tests', () => {
  const green = { numPassedTests: 7, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [{}] }
  const count = (
    report: object | string,
    gate: number,
    ci = true,
  ): { code: number | null; last: string | undefined } => {
    const path = plant('report.json', typeof report === 'string' ? report : JSON.stringify(report))
    const { code, out } = run('count-tests.mjs', [path, String(gate)], ci)
    return { code, last: out.trimEnd().split('\n').at(-1) }
  }
  const file = (...statuses: string[]): object => ({
    status: 'failed',
    assertionResults: statuses.map((status) => ({ status })),
  })

  test('a green run is counted and succeeds', () => {
    expect(count(green, 0)).toEqual({ code: 0, last: '7 passed, 0 failed' })
  })

  test('a test that the guarantee names has to have run, and passed', () => {
    const page = plant('guarantee.md', '| kept | `test/one.test.ts` | `never … twice` |\n')
    const ran = (title: string, status: string): string => {
      const name = join(tree, 'test/one.test.ts')
      const report = { ...green, testResults: [{ name, status, assertionResults: [{ title, status }] }] }
      return plant('report.json', JSON.stringify(report))
    }
    const last = (report: string): string | undefined =>
      run('count-tests.mjs', [report, '0', page]).out.trimEnd().split('\n').at(-1)
    expect(last(ran('never a key twice', 'passed'))).toBe('7 passed, 0 failed')
    expect(last(ran('never a key twice', 'pending'))).toBe('7 passed, 1 failed')
    expect(last(ran('something else', 'passed'))).toBe('7 passed, 1 failed')
  })

  test('failed tests are counted and the exit code is that of the gate', () => {
    const red = { ...green, numFailedTests: 2, testResults: [file('failed', 'failed')] }
    expect(count(red, 3)).toEqual({ code: 3, last: '7 passed, 2 failed' })
  })

  test('a gate that ended before the tests counts as one failure', () => {
    expect(count('', 1)).toEqual({ code: 1, last: '0 passed, 1 failed' })
  })

  test('a missing report fails even if the gate says success', () => {
    expect(count('', 0)).toEqual({ code: 1, last: '0 passed, 1 failed' })
  })

  test('a run without tests fails', () => {
    expect(count({ ...green, numPassedTests: 0, testResults: [] }, 0)).toEqual({ code: 1, last: '0 passed, 1 failed' })
  })

  test('a skipped test is shown, and fails under CI only', () => {
    const skipping = { ...green, numPendingTests: 1, numTodoTests: 1 }
    expect(count(skipping, 0)).toEqual({ code: 1, last: '7 passed, 0 failed, 2 skipped' })
    expect(count(skipping, 0, false)).toEqual({ code: 0, last: '7 passed, 0 failed, 2 skipped' })
  })

  test('a file that cannot be loaded is a failure', () => {
    expect(count({ ...green, testResults: [file()] }, 1)).toEqual({ code: 1, last: '7 passed, 1 failed' })
  })

  test('a file whose beforeAll throws is a failure', () => {
    const report = { ...green, numPendingTests: 2, testResults: [file('skipped', 'skipped')] }
    expect(count(report, 1)).toEqual({ code: 1, last: '7 passed, 1 failed, 2 skipped' })
  })

  test('an error outside of the tests is a failure', () => {
    expect(count(green, 1)).toEqual({ code: 1, last: '7 passed, 1 failed' })
  })
})
