/** The stage of the end-to-end tests: gateways as child processes, the pretend provider, and what they leave behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pretendPrice, type Sandbox, type SandboxCall, startSandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Relay } from './relay.ts'

const bin = fileURLToPath(new URL('../../packages/gateway/bin/oncekey.mjs', import.meta.url))
const built = fileURLToPath(new URL('../../packages/gateway/dist/cli/main.js', import.meta.url))

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A child process with what it wrote. */
export class Program {
  readonly child: ChildProcess
  /** Resolves when it has ended and its output was read; never rejects. */
  readonly exited: Promise<Exit>
  stdout = ''
  stderr = ''
  over = false

  constructor(
    executable: string,
    args: readonly string[],
    stdin: 'ignore' | 'pipe' = 'ignore',
    own: Readonly<Record<string, string>> = {},
  ) {
    // A developer's own ONCEKEY_ variables would configure the gateway under test.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ONCEKEY_')))
    this.child = spawn(executable, args, { env: { ...env, ...own }, stdio: [stdin, 'pipe', 'pipe'] })
    this.child.stdout?.on('data', (bytes: Buffer) => {
      this.stdout += bytes.toString()
    })
    this.child.stderr?.on('data', (bytes: Buffer) => {
      this.stderr += bytes.toString()
    })
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.over = true
      return { code, signal } as Exit
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Exit> {
    this.child.kill(signal)
    return this.exited
  }
}

/** A gateway that accepts connections. */
export class Gateway extends Program {
  url = ''
  port = 0

  /** How often a line with this message was logged. */
  logged(message: string): number {
    return this.stderr.split(`"msg":"${message}"`).length - 1
  }
}

/** What a gateway is started with; further flags as on the command line. */
export interface GatewayOptions {
  readonly upstream: string
  /** Default: an LMDB folder of its own. */
  readonly store?: string
  readonly flags?: readonly string[]
}

/** Everything one test file starts; `close` ends all of it, also what was stopped by a signal. */
export class Stage {
  readonly #programs: Program[] = []
  readonly #folders: string[] = []
  readonly #others: { close(): unknown }[] = []
  #closed = false

  async sandbox(): Promise<Sandbox> {
    const sandbox = await startSandbox()
    this.#others.push(sandbox)
    return sandbox
  }

  /** A folder of its own under the temporary one. */
  folder(): string {
    this.#stillOpen()
    const folder = mkdtempSync(join(tmpdir(), 'oncekey-e2e-'))
    this.#folders.push(folder)
    return folder
  }

  /** The URL of a store nobody else has. */
  store(): string {
    return `lmdb:${join(this.folder(), 'store')}`
  }

  /** A relay before a port of this machine, or before several in turn. */
  async relay(...targets: readonly { readonly port: number }[]): Promise<Relay> {
    return this.add(await Relay.start(...targets.map(({ port }) => port)))
  }

  program(...[executable, args, stdin, env]: ConstructorParameters<typeof Program>): Program {
    const program = new Program(executable, args, stdin, env)
    this.#programs.push(program)
    return program
  }

  /** Closed with the rest. */
  add<T extends { close(): unknown }>(other: T): T {
    this.#others.push(other)
    return other
  }

  /** `oncekey gateway` that need not come up. */
  spawnGateway({ upstream, store = this.store(), flags = [] }: GatewayOptions): Gateway {
    this.#stillOpen()
    if (!existsSync(built)) throw new Error('The gateway is not built. Run: npm run build')
    const own = ['gateway', '--upstream', upstream, '--store', store, '--port', '0']
    const gateway = new Gateway(process.execPath, [bin, ...own, ...flags])
    this.#programs.push(gateway)
    return gateway
  }

  /** `oncekey gateway`, resolved with its ready line. */
  async gateway(options: GatewayOptions): Promise<Gateway> {
    const gateway = this.spawnGateway(options)
    await until(
      () => {
        if (gateway.over) throw new Error(`The gateway ended at its start: ${gateway.stderr}`)
        return gateway.stdout.includes('\n')
      },
      'a gateway is ready',
      20_000,
    )
    gateway.url = /listening on (https?:\S+) ->/.exec(gateway.stdout)?.[1] ?? ''
    gateway.port = Number(new URL(gateway.url).port)
    return gateway
  }

  /** A test that ran out of time goes on when its gateways are killed, and would start others that nobody ends. */
  #stillOpen(): void {
    if (this.#closed) throw new Error('The stage is closed.')
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#programs.map((program) => program.over || program.end('SIGKILL')))
    await Promise.all(this.#others.map((other) => other.close()))
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true })
  }
}

/** Polls until a condition holds; the rejection says which one did not. */
export async function until(condition: () => boolean, what: string, withinMs = 15_000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`Did not come true within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
}

/** How many calls were charged for; of one marker, where it is given. */
export function paid(sandbox: Sandbox, marker?: string): number {
  return sandbox.calls.filter((call) => call.costUsd > 0 && (marker === undefined || call.marker === marker)).length
}

/** The provider has this many calls. */
export function called(sandbox: Sandbox, count: number): Promise<void> {
  return until(() => sandbox.calls.length >= count, `the provider has ${count} calls`)
}

/** All calls that a provider got, over its resets, and what they came to. */
export class Audit {
  readonly #sandbox: Sandbox
  readonly #calls = new Set<SandboxCall>()

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox
  }

  /** Notes the calls so far; ask before each reset. */
  note(): void {
    for (const call of this.#sandbox.calls) this.#calls.add(call)
  }

  /** Billionths of a dollar that were charged for answers that went out whole and told what they used. */
  get told(): number {
    this.note()
    return this.#bill((call) => call.toldUsage)
  }

  /** The same for all other calls. */
  get untold(): number {
    this.note()
    return this.#bill((call) => !call.toldUsage)
  }

  #bill(counts: (call: SandboxCall) => boolean): number {
    return [...this.#calls].filter(counts).reduce((sum, call) => sum + Math.round(call.costUsd * 1e9), 0)
  }
}

/** A configuration file with the pretend provider's prices, and what else is to stand in it. */
export function priced(stage: Stage, more = ''): string {
  const file = join(stage.folder(), 'oncekey.yaml')
  const { model, input, output } = pretendPrice
  writeFileSync(file, `prices: { "${model}": { input: ${input}, output: ${output} } }\n${more}`)
  return file
}

/** What `oncekey ledger` says of a store in all, once its gateways have ended. */
export async function ledgerOf(stage: Stage, store: string): Promise<Readonly<Record<string, number>>> {
  const program = stage.program(process.execPath, [bin, 'ledger', '--store', store, '--json'])
  const { code } = await program.exited
  if (code !== 0) throw new Error(`oncekey ledger: ${program.stderr}`)
  return JSON.parse(program.stdout.trim().split('\n').at(-1) ?? '{}') as Record<string, number>
}

/** What `oncekey records list` says of a store, in all. */
export async function recordsOf(stage: Stage, store: string): Promise<readonly unknown[]> {
  const program = stage.program(process.execPath, [bin, 'records', 'list', '--all', '--store', store, '--json'])
  const { code } = await program.exited
  if (code !== 0) throw new Error(`oncekey records list: ${program.stderr}`)
  return program.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown)
}

/** The provider's call with this number, from 1, has sent a byte of its body. */
export function answering(sandbox: Sandbox, count = 1): Promise<void> {
  return until(() => (sandbox.calls[count - 1]?.bytesSent ?? 0) > 0, `call ${count} has begun its answer`)
}

let keys = 0
/** A key nobody has used. */
export function freshKey(): string {
  keys += 1
  return `key-${process.pid}-${performance.now().toString(36)}-${keys}`
}
