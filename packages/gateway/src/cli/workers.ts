/** `--workers N`: the primary binds and minds its workers, which share nothing but the store. */
import cluster, { type Worker } from 'node:cluster'
import type { Logger } from 'pino'
import type { GatewayConfig } from '../config/index.ts'
import { linesOf, metricsOf, type OpenedAdmin, openAdmin } from './admin.ts'
import { Crew, type Report } from './crew.ts'
import { openEngine } from './engine.ts'

/** A worker that dies this soon after its start is not the victim of a bad moment. */
const tooSoonMs = 2_000

/** Prints the ready line when all workers are, replaces the dead, passes signals on; resolves to the exit code. */
export async function runPrimary(
  config: GatewayConfig,
  log: Logger,
  readyLine: (port: number) => string,
): Promise<number> {
  const crew = new Crew(sumOf)
  const { admin, close } = await openPrimaryAdmin(config, log, crew)
  const code = await runWorkers(config, log, {
    crew,
    ready: (port) => {
      process.stdout.write(linesOf(readyLine(port), admin))
      if (admin !== undefined) admin.phase = 'serving'
    },
    stopping: () => {
      if (admin !== undefined) admin.phase = 'draining'
    },
  })
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

/** Resolves to the exit code once all workers have ended. */
function runWorkers(config: GatewayConfig, log: Logger, { crew, ...watch }: Watch): Promise<number> {
  return new Promise((resolve) => {
    const ready = new Set<Worker>()
    let announced = false
    let stopping = false
    let failed = false
    const start = (): void => {
      const startedMs = performance.now()
      const worker = cluster.fork()
      worker.on('message', (report: Report) => {
        if (!('ready' in report)) return crew.hear(worker, report)
        ready.add(worker)
        if (announced || ready.size < config.workers) return
        announced = true
        // With --port 0 the system chose, and would choose anew once all workers have died: the announced port is kept.
        cluster.setupPrimary({ args: [...process.argv.slice(2), '--port', String(report.ready)] })
        watch.ready(report.ready)
      })
      worker.on('exit', (code, signal) => {
        ready.delete(worker)
        void crew.lose(worker)
        // One that was told to stop before it had begun to listen had nothing to finish.
        failed ||= code !== 0 && !(stopping && signal === 'SIGTERM')
        if (stopping || (!announced && performance.now() - startedMs < tooSoonMs)) return ended(code)
        log.error({ worker: worker.process.pid, code, signal }, 'a worker died; another one takes its place')
        // One that cannot start would be started for ever without a pause.
        const soon = performance.now() - startedMs < tooSoonMs
        setTimeout(() => (stopping ? ended(code) : start()), soon ? tooSoonMs : 0)
      })
    }
    // The others would start against the same mistake: what the first one said is enough.
    const ended = (code: number | null): void => {
      if (!stopping) stop('SIGTERM')
      if (Object.keys(cluster.workers ?? {}).length === 0) resolve(announced ? Number(failed) : (code ?? 1))
    }
    const stop = (signal: NodeJS.Signals): void => {
      const again = stopping
      stopping = true
      watch.stopping()
      failed &&= again
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill(signal)
      if (again) process.exit(1)
    }
    process.on('SIGTERM', () => stop('SIGTERM'))
    process.on('SIGINT', () => stop('SIGTERM'))
    for (let count = 0; count < config.workers; count++) start()
  })
}
