/** `oncekey gateway`: opens the store, listens, prints one ready line, and stops as gently as it was told. */
import cluster from 'node:cluster'
import { Exchange, nodeCodings } from 'oncekey/http'
import type { Logger } from 'pino'
import { type GatewayConfig, loadGatewayConfig, redacted } from '../config/index.ts'
import { Upstream } from '../forward/index.ts'
import { startSandbox } from '../sandbox/index.ts'
import { Gateway, lineOf, Routes, type Served } from '../server/index.ts'
import { linesOf, metricsOf, type OpenedAdmin, openAdmin } from './admin.ts'
import { serveCrew } from './crew.ts'
import { openEngine } from './engine.ts'
import { gatewayHelp } from './help.ts'
import { listen, urlOf } from './listen.ts'
import { createLog, type Log } from './log.ts'
import { runPrimary } from './workers.ts'

/** Runs the gateway until a signal; resolves to the exit code. */
export async function runGateway(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const config = loadGatewayConfig(args, env)
  if (config === undefined) {
    process.stdout.write(`${gatewayHelp()}\n`)
    return 0
  }
  const { log, request } = createLog(config.log)
  if (config.workers > 1 && cluster.isPrimary) return runPrimary(config, log, (port) => readyLine(config, port))
  const running = await startGateway(config, log, request)
  const { gateway, admin, port } = running
  if (cluster.isWorker) process.send?.({ ready: port })
  else process.stdout.write(linesOf(readyLine(config, port), admin))
  if (admin !== undefined) admin.phase = 'serving'
  const clean = await stopped(gateway, config.stopGraceMs, log, () => {
    if (admin !== undefined) admin.phase = 'draining'
  })
  await running.close()
  return clean ? 0 : 1
}

interface Running {
  readonly gateway: Gateway
  readonly port: number
  /** Of a worker it is the primary's. */
  readonly admin: OpenedAdmin | undefined
  close(): Promise<void>
}

async function startGateway(config: GatewayConfig, log: Logger, line: Log['request']): Promise<Running> {
  const metrics = await metricsOf(config)
  const { engine, ledger, close } = await openEngine(config, log, metrics)
  const ended = (): void => engine.renewNow()
  const snapshots = async (): Promise<object[][]> => (metrics === undefined ? [] : [await metrics.snapshot()])
  const admin = cluster.isWorker ? undefined : await openAdmin(config, { engine, log, snapshots, ended })
  if (cluster.isWorker) serveCrew({ metrics, ended })
  const upstreams = new Map<string, Upstream>()
  for (const [name, url] of config.upstreams) {
    const reached = url.protocol === 'sandbox:' ? new URL((await startSandbox()).url) : url
    upstreams.set(name, new Upstream(reached))
  }
  const exchange = new Exchange(engine, nodeCodings, (error) =>
    log.error({ err: error }, 'a request failed inside the gateway'),
  )
  const routes = new Map([...config.routes].map(([name, rules]) => [name, new Routes(rules)]))
  const served = (request: Served): void => {
    line?.(lineOf(request))
    metrics?.served(request)
  }
  const isHeard = line !== undefined || metrics !== undefined
  const gateway = new Gateway({ exchange, upstreams, routes, ledger, served: isHeard ? served : undefined })
  metrics?.watch(() => ({ open: gateway.running, bodyBytes: gateway.bodyBytes, ...engine.load }))
  const port = await listen(gateway.server, config.host, config.port, 'port')
  return {
    gateway,
    port,
    admin,
    close: async () => {
      for (const upstream of upstreams.values()) await upstream.close()
      await close()
      admin?.close()
    },
  }
}

/** Resolves at a signal, once everything has ended or the grace is over. A second signal ends at once. */
function stopped(gateway: Gateway, graceMs: number, log: Logger, draining: () => void): Promise<boolean> {
  return new Promise((resolve) => {
    let stopping = false
    const stop = (): void => {
      if (stopping) process.exit(1)
      stopping = true
      draining()
      log.info({ running: gateway.running, graceMs }, 'stopping: running requests go on')
      void gateway.stop(graceMs).then(resolve)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

/** The one line on stdout. */
function readyLine(config: GatewayConfig, port: number): string {
  const behind = [...config.upstreams]
    .map(([name, url]) => (name === '' ? shown(url) : `${name}=${shown(url)}`))
    .join(', ')
  return `oncekey gateway listening on ${urlOf(config.host, port)} -> ${behind} (store ${redacted(config.store)})`
}

function shown(url: URL): string {
  return url.protocol === 'sandbox:' ? 'sandbox:' : url.href.replace(/\/$/, '')
}
