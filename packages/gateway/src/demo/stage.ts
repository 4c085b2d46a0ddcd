/** All that the demo sets up: provider, two flaky networks, the gateway and its directory; and how it goes away again. */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pretendPrice, type Sandbox, startSandbox } from '../sandbox/index.ts'
import { type Paid, paid } from './bill.ts'
import { FlakyNetwork } from './network.ts'
import { type GatewayProcess, runCommand, startGateway } from './process.ts'

/** Short, since a duplicate of a call whose gateway died waits for it to run out. */
export const leaseMs = 3_000

/** `unknown` promises at most one execution. */
const flags = ['--on-abandoned', 'unknown', '--lease', `${leaseMs}ms`, '--skew', '500ms']

/** One network leads straight to the provider, the other to the gateway. */
export class Stage {
  readonly provider: Sandbox
  readonly direct: FlakyNetwork
  readonly guarded: FlakyNetwork
  readonly directory: string
  readonly #env: NodeJS.ProcessEnv
  readonly #store: string
  readonly #config: string
  readonly #children: ChildProcess[] = []
  #gateway: Promise<GatewayProcess> | undefined

  private constructor(provider: Sandbox, env: NodeJS.ProcessEnv) {
    this.provider = provider
    this.#env = env
    this.directory = temporaryDirectory()
    this.#store = `lmdb:${join(this.directory, 'store')}`
    this.#config = join(this.directory, 'oncekey.json')
    const { model, ...price } = pretendPrice
    writeFileSync(this.#config, JSON.stringify({ prices: { [model]: price } }))
    this.direct = new FlakyNetwork(() => Promise.resolve(provider.url))
    this.guarded = new FlakyNetwork(async () => (await this.gateway()).url)
  }

  /** Whoever opens a stage calls `close`, or `drop` where nothing can be waited for. */
  static async open(env: NodeJS.ProcessEnv): Promise<Stage> {
    return new Stage(await startSandbox(), env)
  }

  /** Resolves when the networks are up. */
  async build(): Promise<void> {
    await Promise.all([this.direct.open(), this.guarded.open()])
  }

  /** The one gateway of the moment; the first call, and the first after a kill, starts it on the same directory. */
  gateway(): Promise<GatewayProcess> {
    this.#gateway ??= startGateway(
      ['--upstream', this.provider.url, '--store', this.#store, '--config', this.#config, ...flags],
      this.#env,
      (child) => this.#children.push(child),
    )
    return this.#gateway
  }

  /** kill -9. */
  killGateway(): Promise<void> {
    return this.#endGateway('SIGKILL')
  }

  /** What the gateway has counted itself, as `oncekey ledger` prints it. Ends the gateway, gently. */
  async ledger(): Promise<string> {
    await this.#endGateway('SIGTERM')
    return runCommand(['ledger', '--by', 'tenant', '--store', this.#store], this.#env)
  }

  async #endGateway(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const gateway = await this.gateway()
    this.#gateway = undefined
    await gateway.end(signal)
  }

  /** What the provider's ledger says of the calls with this marker; without one, of all. */
  paid(marker?: string): Paid {
    return paid(this.provider.calls, marker)
  }

  /** Ends the children and removes the directory without waiting for anything. May be called more than once. */
  drop(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 })
  }

  async close(): Promise<void> {
    this.direct.close()
    this.guarded.close()
    const ended = this.#children.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resolve()
          child.once('exit', () => resolve())
          child.kill('SIGKILL')
        }),
    )
    await Promise.all(ended)
    await this.provider.close()
    this.drop()
  }
}

function temporaryDirectory(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'oncekey-demo-'))
  } catch (error) {
    throw new Error(`The demo needs a directory for temporary files and cannot write to ${tmpdir()}. Set TMPDIR.`, {
      cause: error,
    })
  }
}

/** Polls until something has happened. */
export async function until(what: string, happened: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!happened()) {
    if (performance.now() > endMs) throw new Error(`The demo waited for 10 s in vain: ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
