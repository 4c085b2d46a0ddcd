/** `--workers N`: the primary binds and minds its workers, which share nothing but the store. */
import cluster, { type Worker } from 'node:cluster'
import type { Logger } from 'pino'
import type { GatewayConfig } from '../config/index.ts'

/** A worker that dies this soon after its start is not the victim of a bad moment. */
const tooSoonMs = 2_000

/** Prints the ready line when all workers are, replaces the dead, passes signals on; resolves to the exit code. */
export function runPrimary(config: GatewayConfig, log: Logger, readyLine: (port: number) => string): Promise<number> {
  return new Promise((resolve) => {
    const ready = new Set<Worker>()
    let announced = false
    let stopping = false
    let failed = false
    const start = (): void => {
      const startedMs = performance.now()
      const worker = cluster.fork()
      worker.on('message', (message: { ready: number }) => {
        ready.add(worker)
        if (announced || ready.size < config.workers) return
        announced = true
        // With --port 0 the system chose, and would choose anew once all workers have died: the announced port is kept.
        cluster.setupPrimary({ args: [...process.argv.slice(2), '--port', String(message.ready)] })
        process.stdout.write(`${readyLine(message.ready)}\n`)
      })
      worker.on('exit', (code, signal) => {
        ready.delete(worker)
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
      failed &&= again
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill(signal)
      if (again) process.exit(1)
    }
    process.on('SIGTERM', () => stop('SIGTERM'))
    process.on('SIGINT', () => stop('SIGTERM'))
    for (let count = 0; count < config.workers; count++) start()
  })
}
