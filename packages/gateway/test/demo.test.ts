/** `oncekey demo`, run as a newcomer runs it: its numbers are held against each other, and nothing stays behind. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Screen } from '../src/demo/screen.ts'
import { Program, until } from './harness.ts'

const own: string[] = []
afterAll(() => {
  for (const directory of own) rmSync(directory, { recursive: true, force: true })
})

/** A run whose temporary files are all in one directory. */
class Demo extends Program {
  readonly directory: string
  readonly startedMs: number = performance.now()

  constructor(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    const directory = mkdtempSync(join(tmpdir(), 'oncekey-demo-test-'))
    own.push(directory)
    super(['demo', ...args], { TMPDIR: directory, TMP: directory, TEMP: directory, NO_COLOR: '1', ...env })
    this.directory = directory
  }

  /** The gateways that were told of. */
  get pids(): number[] {
    return [...this.stdout.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid))
  }

  expectNothingLeft(): void {
    expect(readdirSync(this.directory)).toEqual([])
    expect(this.pids.length).toBeGreaterThan(0)
    for (const pid of this.pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  }
}

/** The lines of one scene, by its number. */
function scene(output: string, number: number): string {
  return output.split('\n\n').find((part) => part.startsWith(`${number}. `)) ?? ''
}

interface Row {
  readonly name: string
  readonly withoutCalls: number
  readonly withoutUsd: number
  readonly guardedCalls: number
  readonly guardedUsd: number
}

function bill(output: string): Row[] {
  return [...output.matchAll(/^ {3}(\S.*?) +(\d+) calls? +\$([\d.]+) +(\d+) calls? +\$([\d.]+)$/gm)].map(
    ([, name = '', ...numbers]) => {
      const [withoutCalls = 0, withoutUsd = 0, guardedCalls = 0, guardedUsd = 0] = numbers.map(Number)
      return { name, withoutCalls, withoutUsd, guardedCalls, guardedUsd }
    },
  )
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

describe.concurrent('oncekey demo', () => {
  it('shows the double bill and the single one in under a minute, in plain lines', { timeout: 60_000 }, async () => {
    const demo = new Demo()
    expect(await demo.exited, demo.stderr).toEqual({ code: 0, signal: null })
    expect(performance.now() - demo.startedMs).toBeLessThan(60_000)
    expect(demo.stderr).toBe('')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
    expect(demo.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)

    const rows = bill(demo.stdout)
    const total = rows.pop()
    expect(rows).toHaveLength(4)
    expect(total?.name).toBe('total')
    expect(total?.withoutCalls).toBe(sum(rows.map((row) => row.withoutCalls)))
    expect(total?.guardedCalls).toBe(sum(rows.map((row) => row.guardedCalls)))
    expect(total?.withoutUsd).toBeCloseTo(sum(rows.map((row) => row.withoutUsd)), 9)
    expect(total?.guardedUsd).toBeCloseTo(sum(rows.map((row) => row.guardedUsd)), 9)
    for (const row of rows) {
      expect(row.guardedCalls, row.name).toBe(1)
      expect(row.withoutCalls, row.name).toBeGreaterThan(1)
      expect(row.guardedUsd, row.name).toBeGreaterThan(0)
      expect(row.withoutUsd, row.name).toBeCloseTo(row.withoutCalls * row.guardedUsd, 9)
    }
    demo.expectNothingLeft()
    expectScenes(demo.stdout, rows)
    // The gateway's own ledger against the provider's.
    const [, spent, saved] = /Spent \$([\d.]+), saved \$([\d.]+)\./.exec(demo.stdout) ?? []
    const [, unknown = '0'] = /(\d+) more died with their process/.exec(demo.stdout) ?? []
    expect(Number(spent) + Number(unknown) * (rows[0]?.guardedUsd ?? 0)).toBeCloseTo(total?.guardedUsd ?? 0, 9)
    expect(Number(saved)).toBeGreaterThan(0)
  })

  it('ends with 1 and one sentence when the gateway forgets what it recorded', { timeout: 60_000 }, async () => {
    // The control of the test above: in the gateway's own process, the store is exchanged for one without a disk.
    const forget = 'const at = process.argv.indexOf("--store"); if (at > 0) process.argv[at + 1] = "memory:"'
    const demo = new Demo([], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(forget)}` })
    expect(await demo.exited).toEqual({ code: 1, signal: null })
    expect(demo.stderr).toMatch(/^oncekey: The demo did not come out as it should: .*2 paid calls.*\.\n$/)
    expect(bill(demo.stdout)).toEqual([])
    demo.expectNothingLeft()
  })

  it('takes its processes and files with it on Ctrl-C', { timeout: 60_000 }, async () => {
    const demo = new Demo()
    await until(() => demo.stdout.includes('executed: '), 30_000)
    expect(readdirSync(demo.directory)).toHaveLength(1)
    demo.child.kill('SIGINT')
    expect(await demo.exited).toEqual({ code: 130, signal: null })
    await until(() => demo.pids.every((pid) => !isRunning(pid)))
    demo.expectNothingLeft()
  })

  it('prints its usage, and refuses what it does not know', async () => {
    const help = new Demo(['--help'])
    expect(await help.exited).toEqual({ code: 0, signal: null })
    expect(help.stdout).toMatch(/^Usage: oncekey demo\n/)
    const wrong = new Demo(['--fast'])
    expect(await wrong.exited).toEqual({ code: 2, signal: null })
    expect(wrong.stderr).toMatch(/^oncekey: .*"--fast".*\n$/)
    expect(wrong.stdout).toBe('')
  })
})

/** Each scene against the row of the bill that it accounts for. */
function expectScenes(output: string, rows: readonly Row[]): void {
  const attempts = (text: string): string[] => text.match(/^ {3}attempt \d.*$/gm) ?? []
  const billed = (text: string): number => attempts(text).filter((line) => line.includes('provider bills $')).length

  expect(attempts(scene(output, 1))).toHaveLength(3)
  expect(billed(scene(output, 1))).toBe(rows[0]?.withoutCalls)
  expect(attempts(scene(output, 2))).toHaveLength(3)
  expect(billed(scene(output, 2))).toBe(1)
  expect(scene(output, 2).match(/replayed: no call, nothing billed/g)).toHaveLength(2)
  const [, ofFirst, ofSecond, atOnce] =
    /executed: (\d+) words\n.*joined: the same (\d+) words, (\d+) of them at once/.exec(scene(output, 3)) ?? []
  expect(ofSecond).toBe(ofFirst)
  expect(Number(atOnce)).toBeGreaterThan(0)
  expect(Number(atOnce)).toBeLessThan(Number(ofFirst))
  expect(scene(output, 4)).toMatch(/executed: provider bills.*kill -9.*restart.*replayed: no call, nothing billed/s)
  expect(billed(scene(output, 4))).toBe(1)
  expect(scene(output, 5)).toMatch(/kill -9.*provider bills.*restart.*refused: no call, nothing billed/s)
  expect(scene(output, 5)).toContain('409 outcome_unknown')
  expect(billed(scene(output, 5))).toBe(1)
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('its screen', () => {
  const shown = (isTTY: boolean, env: Record<string, string>, columns = 80): { screen: Screen; text: () => string } => {
    let text = ''
    const paper = { isTTY, columns, write: (more: string) => (text += more) }
    return { screen: new Screen(paper, env), text: () => text }
  }

  it('has colour on a terminal, none with NO_COLOR, none in a log', () => {
    expect(shown(true, {}).screen.in('red', 'x')).toBe('\u001b[31mx\u001b[0m')
    expect(shown(true, { NO_COLOR: '' }).screen.in('red', 'x')).toBe('\u001b[31mx\u001b[0m')
    expect(shown(true, { NO_COLOR: '1' }).screen.in('red', 'x')).toBe('x')
    expect(shown(true, { TERM: 'dumb' }).screen.in('red', 'x')).toBe('x')
    expect(shown(false, {}).screen.in('red', 'x')).toBe('x')
  })

  it('draws over its own lines on a terminal, and writes only the last state into a log', () => {
    const terminal = shown(true, {})
    terminal.screen.draw(['one'])
    terminal.screen.draw(['one', 'two'])
    terminal.screen.settle(['three', 'four'])
    expect(terminal.text()).toBe(
      '\u001b[Kone\n\u001b[1A\u001b[Kone\n\u001b[Ktwo\n\u001b[2A\u001b[Kthree\n\u001b[Kfour\n',
    )
    const log = shown(false, {})
    log.screen.draw(['one'])
    log.screen.settle(['three', 'four'])
    expect(log.text()).toBe('three\nfour\n')
  })

  it('never draws a line that would wrap', () => {
    for (const columns of [10, 24, 28, 40, 80]) {
      const { screen, text } = shown(true, {}, columns)
      screen.draw([`   client A    executed Answer 1: ${'word '.repeat(60)}`])
      expect(text().replace('\u001b[K', '').trimEnd().length).toBeLessThan(columns)
    }
  })
})
