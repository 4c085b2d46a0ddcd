/** Who answers the lines of a batch: an engine with its store in this process, or a gateway at a URL. */
import { type Classify, Exchange, nodeCodings, type OnceEvent } from 'oncekey/http'
import { type Ask, askHere, askThere, checkGateway } from '../batch/index.ts'
import {
  type GatewayConfig,
  gatewayOptions,
  loadGatewayConfig,
  redacted,
  UsageError,
  variable,
} from '../config/index.ts'
import { Upstream } from '../forward/index.ts'
import { startSandbox } from '../sandbox/index.ts'
import { type GatewayRoute, optionsFor, Routes } from '../server/index.ts'
import { batchGatewayFlags, type Flags } from './flags.ts'
import { openEngine } from './gateway.ts'
import { createLog, logEvent } from './log.ts'
import { storeStartMs, within } from './store.ts'

type Ending = Parameters<Classify>[0]

/** Where the lines go. */
export interface BatchTarget {
  readonly kind: 'here' | 'gateway'
  /** Of the provider, or of the gateway. */
  readonly url: URL
  /** The upstream's name in the configuration. */
  readonly name: string
  readonly config: GatewayConfig
  /** What holds for a line. */
  readonly routeOf: (method: string, path: string, body: Buffer) => GatewayRoute
}

/** An asker that is ready. */
export interface Asker {
  readonly ask: Ask
  /** Lines that a dead process had begun and that were executed again; undefined where only the gateway knows. */
  takenOver(): number | undefined
  close(): Promise<void>
}

/** What also has a meaning before a gateway that keeps the store. */
const beforeGateway: ReadonlySet<string> = new Set([
  'wait',
  'upstream-timeout',
  'max-body',
  'dangerously-allow-anonymous',
])

/** The target and its settings, read by the gateway's own loader. Throws UsageError. */
export function batchConfig(flags: Flags, env: NodeJS.ProcessEnv): BatchTarget {
  const gateway = flags.text('gateway')
  return gateway === undefined ? here(flags, env) : there(gateway, flags)
}

function here(flags: Flags, env: NodeJS.ProcessEnv): BatchTarget {
  const anywhere =
    flags.text('upstream') ?? flags.text('config') ?? env[variable('upstream')] ?? env[variable('config')]
  if (anywhere === undefined || anywhere === '') {
    const sentence = 'No upstream is given. Say which API the lines are for: --upstream https://api.openai.com'
    throw new UsageError(`${sentence}, or a gateway that runs: --gateway http://127.0.0.1:8787`)
  }
  const config = loaded(given(flags, batchGatewayFlags), env)
  const [upstream, ...others] = config.upstreams
  if (upstream === undefined || others.length > 0)
    throw new UsageError('A batch has one upstream, and the configuration names several. Say which: --upstream URL')
  if (config.store === 'memory:')
    throw new UsageError('The store memory: is gone with its process, and then a restart pays again. Use lmdb:PATH.')
  const [name, url] = upstream
  const rules = config.routes.get(name)
  const routes = rules === undefined ? undefined : new Routes(rules)
  const routeOf: BatchTarget['routeOf'] = (method, path, body) =>
    forBatch(routes === undefined ? config.route : optionsFor(routes.match(method, path), body))
  return { kind: 'here', url, name, config, routeOf }
}

function there(gateway: string, flags: Flags): BatchTarget {
  const foreign = batchGatewayFlags.find(
    (flag) => !beforeGateway.has(flag) && (flags.on(flag) || flags.text(flag) !== undefined),
  )
  if (foreign !== undefined)
    throw new UsageError(`--${foreign} is a matter of the gateway at --gateway. Leave one of the two out.`)
  if (!/^https?:\/\/[^/]/.test(gateway) || !URL.canParse(gateway))
    throw new UsageError(`--gateway is "${redacted(gateway)}", which is not a URL such as http://127.0.0.1:8787.`)
  const config = loaded(['--upstream', gateway, ...given(flags, [...beforeGateway])], {})
  return { kind: 'gateway', url: new URL(gateway), name: '', config, routeOf: () => config.route }
}

/** A route's options as far as they make sense for a batch. */
function forBatch({ tenantHeader: _, ...route }: GatewayRoute): GatewayRoute {
  return {
    ...route,
    // Without its store a batch could pay twice, so it waits for it, whatever a gateway would do.
    policy: { ...route.policy, failOpen: false },
    // Nobody pays for a 4xx, and who runs a batch again wants to know whether what was wrong has been put right.
    classify: (ending) => route.classify?.(ending) ?? (isRefusal(ending) ? 'not_executed' : undefined),
  }
}

function isRefusal(ending: Ending): boolean {
  return ending.kind === 'response' && ending.status >= 300 && ending.status < 500 && ending.status !== 409
}

function loaded(args: readonly string[], env: NodeJS.ProcessEnv): GatewayConfig {
  const config = loadGatewayConfig(args, env)
  if (config === undefined) throw new UsageError('oncekey batch run --help lists the flags.')
  return config
}

/** The flags as the gateway's loader reads them. */
function given(flags: Flags, names: readonly string[]): string[] {
  return names.flatMap((flag) => {
    const isSwitch = gatewayOptions.find((option) => option.flag === flag)?.kind === 'boolean'
    if (isSwitch) return flags.on(flag) ? [`--${flag}`] : []
    const text = flags.text(flag)
    return text === undefined ? [] : [`--${flag}=${text}`]
  })
}

/** Opens what answers. `firstTarget`: of the first line, to see what a gateway would do with it. */
export async function askerOf(target: BatchTarget, firstTarget: string): Promise<Asker> {
  const { config, url } = target
  const sandbox = url.protocol === 'sandbox:' ? await startSandbox() : undefined
  const reached = sandbox === undefined ? url : new URL(sandbox.url)
  const upstream = new Upstream(reached)
  if (target.kind === 'here') {
    const store = await overStore(target, upstream)
    return {
      ...store,
      close: async () => {
        await store.close()
        await upstream.close()
        await sandbox?.close()
      },
    }
  }
  const ask = askThere(upstream, config.route.upstreamTimeoutMs)
  await checkGateway(ask, firstTarget, redacted(url.href))
  return { ask, takenOver: () => undefined, close: () => upstream.close() }
}

async function overStore({ config, name, routeOf }: BatchTarget, upstream: Upstream): Promise<Asker> {
  const log = createLog()
  let takenOver = 0
  const observer = (event: OnceEvent): void => {
    if (event.kind === 'granted' && event.by === 'takeover') takenOver += 1
    // All else is told by the report.
    if (event.kind === 'store_failed' || event.kind === 'unrecorded') logEvent(log, event)
  }
  const opening = openEngine(config, log, observer)
  const { engine, ledger, close } = await within(storeStartMs, config.store, opening)
  const exchange = new Exchange(engine, nodeCodings, (error) =>
    log.error({ err: error }, 'a line failed inside this process'),
  )
  return {
    ask: askHere({
      exchange,
      upstream,
      route: routeOf,
      account: ({ method, headers, body }, path) =>
        ledger.account({ upstream: name, method, path, headers, body }, 'resumed'),
    }),
    takenOver: () => takenOver,
    close: async () => {
      await engine.close()
      await ledger
        .close()
        .catch((error: unknown) => log.error({ err: error }, 'the last counts of the ledger are lost'))
      await close()
    },
  }
}
