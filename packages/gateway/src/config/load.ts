/** The gateway's configuration, built from its settings. */
import type { Encryption } from 'oncekey/http'
import { reconcilerFor } from 'oncekey/providers'
import type { OwnPrice, Share } from '../ledger/index.ts'
import type { GatewayRoute, RouteRule, UpstreamRoutes } from '../server/index.ts'
import { type AdminConfig, adminOf } from './admin.ts'
import { readEncryption } from './encryption.ts'
import { type ConfigFile, readConfigFile } from './file.ts'
import { placeIn } from './mistakes.ts'
import { readPepper } from './pepper.ts'
import { routeOf } from './precedence.ts'
import { type PresetRule, presetsFor } from './presets/index.ts'
import type { WrittenRoute } from './schema.ts'
import { readSettings, type Settings, settingsOf } from './settings.ts'
import { type NamedFile, readTls, type TlsIdentity } from './tls.ts'
import type { NamedUpstream } from './upstreams.ts'
import { UsageError } from './usage.ts'

/** Everything a gateway needs to start. */
export interface GatewayConfig {
  /** By name; '' is the one without. */
  readonly upstreams: ReadonlyMap<string, URL>
  /** The names of the presets of each upstream. */
  readonly presets: ReadonlyMap<string, readonly string[]>
  readonly host: string
  readonly port: number
  readonly store: string
  /** Creates or upgrades the PostgreSQL schema at the start. */
  readonly migrate: boolean
  readonly workers: number
  /** The operator's own prices, before the public ones. */
  readonly prices: readonly OwnPrice[]
  readonly pepper: Uint8Array | undefined
  readonly encryption: Encryption | undefined
  /** Undefined: plain HTTP. */
  readonly tls: TlsIdentity | undefined
  /** Of each process; undefined: no quota. */
  readonly tenantRequests: number | undefined
  /** Over all processes; undefined: no quota. */
  readonly tenantShare: Share | undefined
  readonly stopGraceMs: number
  /** Undefined: there is no admin side. */
  readonly admin: AdminConfig | undefined
  readonly log: 'error' | 'warn' | 'info'
  /** What holds where no rule and no preset says anything. */
  readonly route: GatewayRoute
  /** The user's, in order. */
  readonly rules: readonly RouteRule[]
  /** What holds for the requests of each upstream. */
  readonly routes: ReadonlyMap<string, UpstreamRoutes>
}

/** The configuration, or undefined when help was asked for. Throws UsageError. */
export function loadGatewayConfig(args: readonly string[], env: NodeJS.ProcessEnv): GatewayConfig | undefined {
  const settings = readSettings(args, env)
  if (settings === undefined) return undefined
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    throw new UsageError(
      'NODE_TLS_REJECT_UNAUTHORIZED=0 lets anybody pass for the upstream and read its credentials. Unset it; name an authority of your own in NODE_EXTRA_CA_CERTS.',
    )
  }
  const upstreams = settings.get('upstream') ?? []
  if (upstreams.length === 0) {
    throw new UsageError(
      'No upstream is given. Say which API is behind the gateway: oncekey gateway --upstream https://api.openai.com',
    )
  }
  return build(settings, upstreams)
}

/** What a file alone amounts to, with the defaults; it may leave the upstreams to a flag. Throws UsageError. */
export function loadConfigFile(path: string): GatewayConfig & { readonly file: ConfigFile } {
  const file = readConfigFile(path)
  const settings = settingsOf(file)
  return { ...build(settings, settings.get('upstream') ?? []), file }
}

function build(settings: Settings, upstreams: readonly NamedUpstream[]): GatewayConfig {
  const workers = settings.get('workers')
  const store = settings.get('store')
  if (workers > 1 && store.startsWith('memory:')) {
    throw new UsageError('--workers needs a store that processes can share, and memory: is not one. Use lmdb:PATH.')
  }
  const rules = rulesOf(settings, upstreams)
  const named = (flag: 'tls-cert' | 'tls-key'): NamedFile => ({
    path: settings.get(flag),
    origin: settings.origin(flag),
  })
  return {
    upstreams: new Map(upstreams.map(({ name, url }) => [name, url])),
    presets: new Map(upstreams.map((upstream) => [upstream.name, presetsFor(upstream).names])),
    host: settings.get('host'),
    port: settings.get('port'),
    store,
    migrate: !settings.get('no-migrate'),
    workers,
    prices: settings.get('prices') ?? [],
    pepper: readPepper(settings.get('pepper-file'), settings.origin('pepper-file')),
    encryption: readEncryption(settings.get('encryption-key-file'), settings.origin('encryption-key-file')),
    tls: readTls(named('tls-cert'), named('tls-key')),
    tenantRequests: settings.get('tenant-requests'),
    tenantShare: shareOf(settings.get('tenant-records'), settings.get('tenant-bytes')),
    stopGraceMs: settings.get('stop-grace'),
    admin: adminOf(settings),
    log: settings.get('log'),
    route: routeOf(settings),
    rules,
    routes: new Map(upstreams.map((upstream) => [upstream.name, routesOf(settings, upstream, rules)])),
  }
}

function shareOf(records: number | undefined, bytes: number | undefined): Share | undefined {
  return records === undefined && bytes === undefined ? undefined : { records, bytes }
}

/** A rule of the file and what it says. */
interface Rule extends RouteRule {
  readonly said: WrittenRoute
}

function rulesOf({ file }: Settings, upstreams: readonly NamedUpstream[]): readonly Rule[] {
  const names = upstreams.map(({ name }) => name)
  return (file?.written.routes ?? []).map((said, index) => {
    const { path, methods, upstream } = said
    // A file without upstreams leaves them to a flag, and it cannot be told yet which there will be.
    if (upstream !== undefined && names.length > 0 && !names.includes(upstream)) {
      const place = placeIn(file?.path ?? '')(['routes', index, 'upstream'])
      const known = names.filter((name) => name !== '').join(', ') || 'none'
      throw new UsageError(`${place} is "${upstream}", which no upstream is named. Known: ${known}.`)
    }
    if (said['onAbandoned'] === 'reconcile' && reconcilerFor(path) === undefined) {
      const place = placeIn(file?.path ?? '')(['routes', index, 'onAbandoned'])
      throw new UsageError(
        `${place} is reconcile, and nobody knows how to find what ${path} makes. Use unknown; reconcile is for paths that end in /batches.`,
      )
    }
    return { path, methods: methods?.map((method) => method.toUpperCase()), upstream, said }
  })
}

function routesOf(settings: Settings, upstream: NamedUpstream, rules: readonly Rule[]): UpstreamRoutes {
  return {
    prefix: upstream.url.pathname.replace(/\/+$/, ''),
    own: rules.filter((rule) => rule.upstream === undefined || rule.upstream === upstream.name),
    // What a preset knows of its API is about these; PUT and DELETE are idempotent by their definition.
    preset: presetsFor(upstream).rules.map((rule) => ({ ...rule, methods: ['POST', 'PATCH'] })),
    optionsOf: (own, rule) => routeOf(settings, (own as Rule | undefined)?.said, rule as PresetRule | undefined),
  }
}
