/** Batches that are killed: how they are run, and the judge who reads the provider's ledger. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, type Exit, type Program, type Stage } from '../e2e/harness.ts'

const bin = fileURLToPath(new URL('../../packages/gateway/bin/oncekey.mjs', import.meta.url))
const naive = fileURLToPath(new URL('naive-batch.mjs', import.meta.url))

/** What a killed process had sent may reach the provider so much later, ms. */
const onTheWayMs = 50

/** A batch file with its output, which is run as often as it takes. */
export class KilledBatch {
  readonly file: string
  readonly out: string
  readonly count: number
  readonly #stage: Stage
  readonly #sandbox: Sandbox
  /** For each kill, the lines that were in flight: called by the process that was killed, and without a result. */
  readonly inFlight: ReadonlySet<string>[] = []
  /** How many calls there were when that process began. */
  #callsBefore = 0

  constructor(stage: Stage, sandbox: Sandbox, count: number) {
    const folder = stage.folder()
    this.file = join(folder, 'in.jsonl')
    this.out = join(folder, 'out.jsonl')
    this.count = count
    this.#stage = stage
    this.#sandbox = sandbox
    writeFileSync(this.file, this.names.map((name) => `${line(name)}\n`).join(''))
  }

  get names(): string[] {
    return Array.from({ length: this.count }, (_, at) => `line-${at}`)
  }

  start(flags: readonly string[]): Program {
    const own = ['batch', 'run', this.file, '--out', this.out, '--json', '--quiet', ...flags]
    // The harness takes over the environment of the tests.
    process.env['OPENAI_API_KEY'] = 'sk-test'
    return this.#stage.program(process.execPath, [bin, ...own])
  }

  startNaive(how: 'again' | 'resume' | 'memory', concurrency: number): Program {
    return this.#stage.program(process.execPath, [
      naive,
      this.file,
      this.out,
      this.#sandbox.url,
      String(concurrency),
      how,
    ])
  }

  /** Resolves when a process that has just been started makes its first call. */
  nextCall(): Promise<void> {
    return called(this.#sandbox, this.#callsBefore + 1)
  }

  /** kill -9, with what is in flight noted. */
  async kill(program: Program): Promise<Exit> {
    const exit = await program.end('SIGKILL')
    await sleep(onTheWayMs)
    const results = new Set(this.wholeResults())
    const asked = this.#sandbox.calls.slice(this.#callsBefore).map(({ marker = '' }) => marker)
    this.inFlight.push(new Set(asked.filter((name) => !results.has(name))))
    this.#callsBefore = this.#sandbox.calls.length
    return exit
  }

  /** How often this line was paid for. */
  paid(): Map<string, number> {
    const counts = new Map(this.names.map((name) => [name, 0]))
    for (const { marker = '', costUsd } of this.#sandbox.calls)
      if (costUsd > 0) counts.set(marker, (counts.get(marker) ?? 0) + 1)
    return counts
  }

  /** Lines that were paid more often than once and each time they were in flight at a kill: there must be none. */
  paidTooOften(): string[] {
    const allowed = (name: string): number => 1 + this.inFlight.filter((lines) => lines.has(name)).length
    return [...this.paid()].filter(([name, count]) => count > allowed(name)).map(([name, count]) => `${name}: ${count}`)
  }

  /** Lines that were paid more often than once. */
  paidTwice(): string[] {
    return [...this.paid()].filter(([, count]) => count > 1).map(([name]) => name)
  }

  /** The names of the results, in the order of the output. */
  results(): string[] {
    return namesIn(readFileSync(this.out, 'utf8'))
  }

  /** The same of a file whose last line may be torn. */
  wholeResults(): string[] {
    if (!existsSync(this.out)) return []
    const text = readFileSync(this.out, 'utf8')
    return namesIn(text.slice(0, text.lastIndexOf('\n') + 1))
  }
}

function namesIn(text: string): string[] {
  const lines = text.split('\n').filter((one) => one !== '')
  return lines.map((one) => (JSON.parse(one) as { custom_id: string }).custom_id)
}

function line(name: string): string {
  const body = { model: 'pretend-1', user: name, messages: [{ role: 'user', content: `Say ${name}` }] }
  return JSON.stringify({ custom_id: name, method: 'POST', url: '/v1/chat/completions', body })
}

/** The report of a run that was not killed. */
export function reportOf(program: Program): Record<string, number> {
  if (program.stdout === '') throw new Error(`There is no report: ${program.stderr}`)
  return JSON.parse(program.stdout) as Record<string, number>
}
