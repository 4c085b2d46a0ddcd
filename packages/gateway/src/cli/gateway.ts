/** `oncekey gateway`: opens the store, listens, prints one ready line, and stops as gently as it was told. */
import cluster from 'node:cluster'
import type { AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { Engine, Exchange, nodeCodings, nodeDigest, type Observer, systemClock, systemRandom } from 'oncekey/http'
import type { Logger } from 'pino'
import { type GatewayConfig, loadGatewayConfig, redacted } from '../config/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { Gateway, Routes } from '../server/index.ts'
import { gatewayHelp } from './help.ts'
import { openLedger, pricesOf } from './ledger.ts'
import { createLog, logEvent } from './log.ts'
import { openStore, storeStartMs, within } from './store.ts'
import { openUpstreams } from './upstreams.ts'
import { retireMessage, runPrimary } from './workers.ts'

/** Runs the gateway until a signal; resolves to the exit code. */
export async function runGateway(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const config = loadGatewayConfig(args, env)
  if (config === undefined) {
    process.stdout.write(`${gatewayHelp()}\n`)
    return 0
  }
  const log = createLog()
  if (config.workers > 1 && cluster.isPrimary) {
    const reload = (): GatewayConfig => loadGatewayConfig(args, env) ?? config
    return runPrimary({ config, log, reload, readyLine: (port) => readyLine(config, port) })
  }
  const running = await startGateway(config, log)
  if (cluster.isWorker) process.send?.({ ready: running.port })
  else process.stdout.write(`${readyLine(config, running.port)}\n`)
  if (config.tls !== undefined && !cluster.isWorker && !process.stdout.isTTY)
    process.on('SIGHUP', () => renewTls(running.gateway, () => loadGatewayConfig(args, env), log))
  const clean = await stopped(running.gateway, config.stopGraceMs, log)
  await running.close()
  return clean ? 0 : 1
}

interface Running {
  readonly gateway: Gateway
  readonly port: number
  close(): Promise<void>
}

async function startGateway(config: GatewayConfig, log: Logger): Promise<Running> {
  const { engine, ledger, close: closeStore } = await within(storeStartMs, config.store, openEngine(config, log))
  const upstreams = await openUpstreams(config, log)
  const exchange = new Exchange(engine, nodeCodings, (error) =>
    log.error({ err: error }, 'a request failed inside the gateway'),
  )
  const routes = new Map([...config.routes].map(([name, rules]) => [name, new Routes(rules)]))
  const gateway = new Gateway({
    exchange,
    upstreams,
    routes,
    ledger,
    tls: config.tls,
    tenantRequests: config.tenantRequests,
    log: (line) => log.debug(line),
  })
  const port = await listen(gateway, config)
  return {
    gateway,
    port,
    close: async () => {
      for (const upstream of upstreams.values()) await upstream.close()
      await ledger
        .close()
        .catch((error: unknown) => log.error({ err: error }, 'the last counts of the ledger are lost'))
      await closeStore()
    },
  }
}

/** The engine over the store and its ledger, once the store has let this process in; `heard` replaces the log's lines. */
export async function openEngine(
  config: GatewayConfig,
  log: Logger,
  heard: Observer = (event) => logEvent(log, event),
): Promise<{ readonly engine: Engine; readonly ledger: Ledger; close(): Promise<void> }> {
  const { store, close } = await openStore(config.store, { migrate: config.migrate, existing: false })
  const ledger = openLedger(store, pricesOf(config), log)
  const engine = new Engine({
    store,
    skewMs: config.route.policy.skewMs,
    clock: systemClock,
    random: systemRandom,
    digest: nodeDigest,
    observer: (event) => {
      heard(event)
      if (event.kind === 'swept') ledger.abandoned(event.abandoned)
      if (event.kind === 'abandoned') ledger.abandoned(1)
    },
    ...(config.pepper === undefined ? {} : { pepper: config.pepper }),
    ...(config.encryption === undefined ? {} : { encryption: config.encryption }),
  })
  await engine.ready()
  return { engine, ledger, close }
}

function listen(gateway: Gateway, { host, port }: GatewayConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    gateway.server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(listenSentence(error, host, port))))
    gateway.server.listen(port, host, () => resolve((gateway.server.address() as AddressInfo).port))
  })
}

function listenSentence(error: NodeJS.ErrnoException, host: string, port: number): string {
  if (error.code === 'EADDRINUSE')
    return `Port ${port} on ${host} is in use. Choose another with --port, or --port 0 for a free one.`
  if (error.code === 'EACCES') return `Port ${port} may not be used by this user. Choose one above 1023 with --port.`
  return `Cannot listen on ${host}:${port} (${error.code ?? error.message}). Check --host and --port.`
}

/**
 * Resolves once everything has ended, after a signal or because another worker has taken over, or at the end of a signal's
 * grace. A second signal ends at once.
 */
function stopped(gateway: Gateway, graceMs: number, log: Logger): Promise<boolean> {
  return new Promise((resolve) => {
    let stopping = false
    const stop = (): void => {
      if (stopping) process.exit(1)
      stopping = true
      log.info({ running: gateway.running, graceMs }, 'stopping: running requests go on')
      void gateway.stop(graceMs).then(resolve)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    if (!cluster.isWorker) return
    // It is for the primary; whoever sends it to the whole group means no harm.
    process.on('SIGHUP', () => undefined)
    process.on('message', (message) => {
      if (!isDeepStrictEqual(message, retireMessage)) return
      log.info({ running: gateway.running }, 'another worker takes over: what runs here goes on to its end')
      void gateway.retire().then(() => stopping || resolve(true))
    })
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
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  const behind = [...config.upstreams]
    .map(([name, url]) => (name === '' ? shown(url) : `${name}=${shown(url)}`))
    .join(', ')
  return `oncekey gateway listening on ${config.tls === undefined ? 'http' : 'https'}://${host}:${port} -> ${behind} (store ${redacted(config.store)})`
}

function shown(url: URL): string {
  return url.protocol === 'sandbox:' ? 'sandbox:' : url.href.replace(/\/$/, '')
}
