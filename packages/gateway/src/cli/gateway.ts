/** `oncekey gateway`: opens the store, listens, prints one ready line, and stops as gently as it was told. */
import cluster from 'node:cluster'
import { Exchange, nodeCodings } from 'oncekey/http'
import type { Logger } from 'pino'
import { type GatewayConfig, loadGatewayConfig, redacted } from '../config/index.ts'
import { Gateway, lineOf, Routes, type Served } from '../server/index.ts'
import { linesOf, metricsOf, type OpenedAdmin, openAdmin } from './admin.ts'
import { serveCrew } from './crew.ts'
import { openEngine } from './engine.ts'
import { gatewayHelp } from './help.ts'
import { listen, urlOf } from './listen.ts'
import { createLog, type Log } from './log.ts'
import { openUpstreams } from './upstreams.ts'
import { runPrimary } from './workers.ts'

/** Runs the gateway until a signal; resolves to the exit code. */
export async function runGateway(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const config = loadGatewayConfig(args, env)
  if (config === undefined) {
    process.stdout.write(`${gatewayHelp()}\n`)
    return 0
  }
  const { log, request } = createLog(config.log)
  if (config.workers > 1 && cluster.isPrimary) {
    const reload = (): GatewayConfig => loadGatewayConfig(args, env) ?? config
    return runPrimary({ config, log, reload, readyLine: (port) => readyLine(config, port) })
  }
  const running = await startGateway(config, log, request)
  const { gateway, admin, port } = running
  if (cluster.isWorker) process.send?.({ ready: port })
  else process.stdout.write(linesOf(readyLine(config, port), admin))
  if (admin !== undefined) admin.phase = 'serving'
  if (config.tls !== undefined && !cluster.isWorker && !process.stdout.isTTY)
    process.on('SIGHUP', () => renewTls(gateway, () => loadGatewayConfig(args, env), log))
  const clean = await stopped(running, config.stopGraceMs, log)
  await running.close()
  return clean ? 0 : 1
}

interface Running {
  readonly gateway: Gateway
  readonly port: number
  /** Of a worker it is the primary's. */
  readonly admin: OpenedAdmin | undefined
  /** A worker whose place another one has taken. */
  readonly retired: Promise<void>
  close(): Promise<void>
}

async function startGateway(config: GatewayConfig, log: Logger, line: Log['request']): Promise<Running> {
  const metrics = await metricsOf(config)
  const { engine, ledger, close } = await openEngine(config, log, metrics)
  const ended = (): void => engine.renewNow()
  const snapshots = async (): Promise<object[][]> => (metrics === undefined ? [] : [await metrics.snapshot()])
  const admin = cluster.isWorker ? undefined : await openAdmin(config, { engine, log, snapshots, ended })
  const upstreams = await openUpstreams(config, log)
  const exchange = new Exchange(engine, nodeCodings, (error) =>
    log.error({ err: error }, 'a request failed inside the gateway'),
  )
  const routes = new Map([...config.routes].map(([name, rules]) => [name, new Routes(rules)]))
  const served = (request: Served): void => {
    line?.(lineOf(request))
    metrics?.served(request)
  }
  const isHeard = line !== undefined || metrics !== undefined
  const { tls, tenantRequests } = config
  const parts = { exchange, upstreams, routes, ledger, tls, tenantRequests, served: isHeard ? served : undefined }
  const gateway = new Gateway(parts)
  const retired = new Promise<void>((resolve) => {
    const retire = (): void => {
      log.info({ running: gateway.running }, 'another worker takes over: what runs here goes on to its end')
      void gateway.retire().then(resolve)
    }
    if (cluster.isWorker) serveCrew({ metrics, ended, retire })
  })
  metrics?.watch(() => ({ open: gateway.running, bodyBytes: gateway.bodyBytes, ...engine.load }))
  const port = await listen(gateway.server, config.host, config.port, 'port')
  return {
    gateway,
    port,
    admin,
    retired,
    close: async () => {
      for (const upstream of upstreams.values()) await upstream.close()
      await close()
      admin?.close()
    },
  }
}

/**
 * Resolves once everything has ended, after a signal or because another worker has taken over, or at the end of a signal's
 * grace. A second signal ends at once.
 */
function stopped({ gateway, admin, retired }: Running, graceMs: number, log: Logger): Promise<boolean> {
  return new Promise((resolve) => {
    let stopping = false
    const stop = (): void => {
      if (stopping) process.exit(1)
      stopping = true
      if (admin !== undefined) admin.phase = 'draining'
      log.info({ running: gateway.running, graceMs }, 'stopping: running requests go on')
      void gateway.stop(graceMs).then(resolve)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    // It is for the primary; whoever sends it to the whole group means no harm.
    if (cluster.isWorker) process.on('SIGHUP', () => undefined)
    void retired.then(() => stopping || resolve(true))
  })
}

/** A certificate that was renewed; all other settings stay as they were. Workers are replaced as a whole instead. */
function renewTls(gateway: Gateway, reload: () => GatewayConfig | undefined, log: Logger): void {
  try {
    const tls = reload()?.tls
    if (tls === undefined) return
    gateway.secure(tls)
    log.info('the certificate was read again')
  } catch (error) {
    log.error({ reason: (error as Error).message }, 'the configuration is wrong; the gateway goes on with the old one')
  }
}

/** The one line on stdout. */
function readyLine(config: GatewayConfig, port: number): string {
  const behind = [...config.upstreams]
    .map(([name, url]) => (name === '' ? shown(url) : `${name}=${shown(url)}`))
    .join(', ')
  return `oncekey gateway listening on ${urlOf(config.host, port, config.tls === undefined ? 'http' : 'https')} -> ${behind} (store ${redacted(config.store)})`
}

function shown(url: URL): string {
  return url.protocol === 'sandbox:' ? 'sandbox:' : url.href.replace(/\/$/, '')
}
