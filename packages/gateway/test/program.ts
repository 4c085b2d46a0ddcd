/** Runs `oncekey` as a child process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { until } from './client.ts'

/** The program, as npm links it. */
export const bin: string = fileURLToPath(new URL('../bin/oncekey.mjs', import.meta.url))

/** How a program ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const running = new Set<ChildProcess>()
// A test that failed before its end must not leave its programs behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A run of `oncekey`, whatever came of it. */
export class Program {
  readonly child: ChildProcess
  readonly exited: Promise<Exit>
  stdout = ''
  stderr = ''

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd?: string) {
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ONCEKEY_')))
    this.child = spawn(process.execPath, [bin, ...args], {
      env: { ...clean, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
    })
    running.add(this.child)
    this.child.on('close', () => running.delete(this.child))
    this.child.stdout?.on('data', (bytes: Buffer) => (this.stdout += bytes.toString()))
    this.child.stderr?.on('data', (bytes: Buffer) => (this.stderr += bytes.toString()))
    this.exited = once(this.child, 'close').then(([code, signal]) => ({ code, signal }) as Exit)
  }

  /** Resident memory now, MiB. */
  get residentMiB(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024
  }
}

/** A gateway that accepts connections. */
export class GatewayProgram extends Program {
  port = 0

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }
}

/** Starts `oncekey gateway --store memory: --port 0` with further flags, and waits for its ready line. */
export async function startGateway(
  upstream: { readonly url: string } | string | undefined,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<GatewayProgram> {
  const url = typeof upstream === 'object' ? upstream.url : upstream
  const own = url === undefined ? [] : ['--upstream', url]
  const gateway = new GatewayProgram(['gateway', ...own, '--store', 'memory:', '--port', '0', ...args], env)
  await until(() => {
    if (gateway.child.exitCode !== null) throw new Error(`the gateway ended at its start: ${gateway.stderr}`)
    return gateway.stdout.includes('\n')
  })
  gateway.port = Number(/:(\d+) ->/.exec(gateway.stdout)?.[1])
  return gateway
}
