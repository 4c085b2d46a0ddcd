/** `--workers N`: the primary binds and minds its workers, which share nothing but the store. */
import cluster, { type Worker } from 'node:cluster'
import { type AddressInfo, createServer } from 'node:net'
import type { Logger } from 'pino'
import type { GatewayConfig } from '../config/index.ts'
import { linesOf, metricsOf, type OpenedAdmin, openAdmin } from './admin.ts'
import { Crew, type Order, type Report } from './crew.ts'
import { openEngine } from './engine.ts'

/** A worker that dies this soon after its start is not the victim of a bad moment. */
const tooSoonMs = 2_000
/** One that cannot start would be started for ever without a pause, doubled each time. */
const pauseMs = { first: 1_000, longest: 30_000 }
/** A worker whose store answers at all is ready long before. */
const readyWithinMs = 30_000
/** So many reloads may have their old workers still finishing; more would pile processes up. */
const retiredReloads = 2

/** What a primary needs of its program. */
export interface PrimaryParts {
  readonly config: GatewayConfig
  readonly log: Logger
  /** Reads flags, variables and files again. Throws UsageError. */
  readonly reload: () => GatewayConfig
  readonly readyLine: (port: number) => string
}

/** Prints the ready line when all workers are, replaces the dead and, at SIGHUP, all; resolves to the exit code. */
export async function runPrimary(parts: PrimaryParts): Promise<number> {
  const { config, log, readyLine } = parts
  const crew = new Crew(sumOf)
  const { admin, close } = await openPrimaryAdmin(config, log, crew)
  const primary = new Primary(parts, {
    crew,
    ready: (port) => {
      process.stdout.write(linesOf(readyLine(port), admin))
      if (admin !== undefined) admin.phase = 'serving'
    },
    stopping: () => {
      if (admin !== undefined) admin.phase = 'draining'
    },
  })
  const code = await primary.run()
  await close()
  return code
}

/** The admin side is the primary's, which for that stands on the store itself. */
async function openPrimaryAdmin(
  config: GatewayConfig,
  log: Logger,
  crew: Crew,
): Promise<{ readonly admin: OpenedAdmin | undefined; close(): Promise<void> }> {
  const metrics = await metricsOf(config)
  if (metrics === undefined) return { admin: undefined, close: () => Promise.resolve() }
  const { engine, close } = await openEngine(config, log, metrics)
  const snapshots = async (): Promise<object[][]> => [await metrics.snapshot(), ...(await crew.snapshots())]
  const admin = await openAdmin(config, { engine, log, snapshots, ended: () => crew.renew() })
  return {
    admin,
    close: async () => {
      await engine.close()
      await close()
      admin?.close()
    },
  }
}

async function sumOf(snapshots: readonly object[][]): Promise<object[]> {
  const { aggregated } = await import('../admin/index.ts')
  return aggregated(snapshots).getMetricsAsJSON()
}

/** What the primary does at the turns of its workers' lives. */
interface Watch {
  readonly crew: Crew
  ready(port: number): void
  stopping(): void
}

class Primary {
  readonly #parts: PrimaryParts
  readonly #watch: Watch
  /** Those that serve, or are about to. */
  readonly #workers = new Set<Worker>()
  /** Those that only finish what they have begun. */
  readonly #retired = new Set<Worker>()
  #ready = 0
  #announced = false
  #stopping = false
  #failed = false
  #pauseMs = 0
  #rolling = false
  #rollAgain = false
  #end: (code: number) => void = () => undefined

  constructor(parts: PrimaryParts, watch: Watch) {
    this.#parts = parts
    this.#watch = watch
  }

  async run(): Promise<number> {
    const { config } = this.#parts
    if (config.port === 0) {
      // Workers that are replaced have to find the port that was announced, also when all of them have died.
      const port = await freePort(config.host)
      cluster.setupPrimary({ args: [...process.argv.slice(2), '--port', String(port)] })
    }
    process.on('SIGTERM', () => this.#stop())
    process.on('SIGINT', () => this.#stop())
    // In a terminal it means that the terminal is gone.
    if (!process.stdout.isTTY) process.on('SIGHUP', () => void this.#roll())
    for (let count = 0; count < config.workers; count++) this.#start()
    return new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** `heard` is told whether a worker that is to take another one's place serves; then nothing takes its own. */
  #start(heard?: (serves: boolean) => void): void {
    const startedMs = performance.now()
    const worker = cluster.fork()
    let serves = false
    this.#workers.add(worker)
    worker.on('message', (report: Report) => {
      if (!('ready' in report)) return this.#watch.crew.hear(worker, report)
      serves = true
      if (heard === undefined) this.#announce(report.ready)
      else heard(true)
    })
    worker.on('exit', (code, signal) => {
      void this.#watch.crew.lose(worker)
      const inOrder = this.#leave(worker, code, signal)
      if (heard !== undefined && !serves) return heard(false)
      if (inOrder) return
      const isSoon = performance.now() - startedMs < tooSoonMs
      if (!this.#announced && isSoon) return this.#ended(code)
      this.#parts.log.error({ worker: worker.process.pid, code, signal }, 'a worker died; another one takes its place')
      this.#pauseMs = isSoon ? Math.min(Math.max(this.#pauseMs * 2, pauseMs.first), pauseMs.longest) : 0
      setTimeout(() => (this.#stopping ? this.#ended(code) : this.#start()), this.#pauseMs)
    })
    if (heard === undefined) return
    const late = setTimeout(() => serves || worker.process.kill('SIGKILL'), readyWithinMs)
    worker.once('exit', () => clearTimeout(late))
  }

  #announce(port: number): void {
    this.#ready += 1
    if (this.#announced || this.#ready < this.#parts.config.workers) return
    this.#announced = true
    this.#watch.ready(port)
  }

  /** True when the end of this worker is all in order, or the end of all. */
  #leave(worker: Worker, code: number | null, signal: string | null): boolean {
    this.#workers.delete(worker)
    const wasRetired = this.#retired.delete(worker)
    // One that was told to stop before it had begun to listen had nothing to finish.
    this.#failed ||= code !== 0 && !(this.#stopping && signal === 'SIGTERM')
    if (this.#stopping) this.#ended(code)
    else if (wasRetired && code !== 0)
      this.#parts.log.error({ worker: worker.process.pid, code, signal }, 'an old worker died while it finished')
    return this.#stopping || wasRetired
  }

  /** The others would start against the same mistake: what the first one said is enough. */
  #ended(code: number | null): void {
    if (!this.#stopping) this.#stop()
    if (this.#workers.size + this.#retired.size === 0) this.#end(this.#announced ? Number(this.#failed) : (code ?? 1))
  }

  #stop(): void {
    const again = this.#stopping
    this.#stopping = true
    this.#watch.stopping()
    this.#failed &&= again
    for (const worker of [...this.#workers, ...this.#retired]) worker.process.kill('SIGTERM')
    if (again) process.exit(1)
  }

  /** One worker after another: the new one is ready before the old one stops taking connections. */
  async #roll(): Promise<void> {
    this.#rollAgain = this.#rolling
    if (this.#rolling || this.#stopping || !this.#announced) return
    this.#rolling = true
    await this.#replaceAll()
    this.#rolling = false
    if (this.#rollAgain) await this.#roll()
  }

  async #replaceAll(): Promise<void> {
    const { log, reload } = this.#parts
    let wanted: number
    try {
      wanted = reload().workers
    } catch (error) {
      return log.error(
        { reason: (error as Error).message },
        'the configuration is wrong; the gateway goes on with the old one',
      )
    }
    if (this.#retired.size >= retiredReloads * wanted)
      return log.warn({ finishing: this.#retired.size }, 'not reloaded: the workers of earlier reloads still finish')
    log.info({ workers: wanted }, 'reloading: new workers take over one by one')
    const old = [...this.#workers]
    for (let count = 0; count < wanted; count++) {
      const serves = await new Promise<boolean>((resolve) => this.#start(resolve))
      if (!serves) return this.#stopping ? undefined : log.error('a new worker did not come up; the old ones go on')
      const [replaced] = old.splice(0, 1)
      if (replaced !== undefined) this.#retire(replaced)
    }
    for (const spare of old) this.#retire(spare)
    log.info({ workers: wanted }, 'reloaded')
  }

  #retire(worker: Worker): void {
    // One that has just died is replaced already.
    if (!this.#workers.delete(worker)) return
    this.#retired.add(worker)
    if (worker.isConnected()) worker.send({ retire: true } satisfies Order)
  }
}

/** One that nobody listens on. An address that is not there is left to the worker, which says so. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(0))
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
