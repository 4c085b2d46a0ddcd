/** Consumer processes: started, heard, stopped, killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { until } from '../../packages/oncekey/test/queue/until.ts'

const program = fileURLToPath(new URL('consumer.mjs', import.meta.url))

/** What a process says: `ready`, a verdict with its reason, or trouble with its sentence. */
export type Said = readonly [what: string, more?: string]

/** A consumer in a process of its own. */
export class Process {
  readonly said: Said[] = []
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  /** When it last said something, monotonic ms. */
  lastMs = 0
  #complaints = ''

  constructor(options: object) {
    this.child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.ended = once(this.child, 'exit')
    let rest = ''
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      this.lastMs = performance.now()
      this.said.push(...lines.map((line) => JSON.parse(line) as Said))
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints += text
    })
  }

  /** Resolves when it takes messages. */
  async ready(): Promise<this> {
    await until('A consumer process', () => {
      if (this.child.exitCode !== null) throw new Error(`A consumer process ended: ${this.#complaints}`)
      return this.said.length > 0
    })
    return this
  }

  verdicts(kind: string): Said[] {
    return this.said.filter(([what]) => what === kind)
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** Ends it, by kill -9 unless told otherwise, and waits for the end. */
  async end(name: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.signal(name)
    await this.ended
  }
}
