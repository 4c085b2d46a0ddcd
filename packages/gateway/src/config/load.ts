/** Flag before variable before file before default: the gateway's configuration from all of them. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Encryption, ignoredPaths, type Policy, policyOf, type RouteOptions, routeDefaults } from 'oncekey/http'
import type { OwnPrice } from '../ledger/index.ts'
import type { RouteRule } from '../server/index.ts'
import { readEncryption } from './encryption.ts'
import { type ConfigFile, readConfigFile } from './file.ts'
import { fileKey, gatewayOptions, type OptionSpec, variable } from './options.ts'
import { ownPrices } from './prices.ts'
import { namedUpstreams } from './upstreams.ts'
import { UsageError } from './usage.ts'
import * as values from './values.ts'

/** Everything a gateway needs to start. */
export interface GatewayConfig {
  /** By name; '' is the one without. */
  readonly upstreams: ReadonlyMap<string, URL>
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
  readonly upstreamTimeoutMs: number
  readonly stopGraceMs: number
  readonly route: RouteOptions
  readonly rules: readonly RouteRule[]
}

/** Options by flag, each parsed, with where it was written. */
type Settings = Readonly<Record<string, { readonly value: unknown; readonly origin: string }>>

/** The configuration, or undefined when help was asked for. Throws UsageError. */
export function loadGatewayConfig(args: readonly string[], env: NodeJS.ProcessEnv): GatewayConfig | undefined {
  const flags = readFlags(args)
  if (flags === undefined) return undefined
  const path = flags['config'] ?? env[variable('config')]
  const file = path === undefined ? undefined : readConfigFile(String(path))
  const settings: Record<string, { value: unknown; origin: string }> = {}
  for (const spec of gatewayOptions) settings[spec.flag] = setting(spec, flags, env, file)
  return build(settings, file)
}

function readFlags(args: readonly string[]): Record<string, unknown> | undefined {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const spec of gatewayOptions) {
    if (!spec.fileOnly)
      options[spec.flag] = { type: spec.kind === 'boolean' ? 'boolean' : 'string', multiple: spec.kind === 'upstream' }
  }
  try {
    const { values: flags } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false })
    return flags['help'] === true ? undefined : flags
  } catch (error) {
    const [reason = ''] = (error as Error).message.split('. ')
    throw new UsageError(`${reason.replace(/\.$/, '')}. oncekey gateway --help lists the flags.`)
  }
}

function setting(
  spec: OptionSpec,
  flags: Record<string, unknown>,
  env: NodeJS.ProcessEnv,
  file: ConfigFile | undefined,
): { value: unknown; origin: string } {
  const given = flags[spec.flag]
  if (given !== undefined) return { value: parse(spec, given, `--${spec.flag}`), origin: `--${spec.flag}` }
  const name = variable(spec.flag)
  const set = spec.fileOnly ? undefined : env[name]
  if (set !== undefined && set !== '') return { value: parse(spec, set, name), origin: name }
  const key = fileKey(spec.flag)
  const written = file?.values[key]
  if (written !== undefined)
    return { value: parse(spec, written, `${key} in ${file?.path}`), origin: `${key} in ${file?.path}` }
  return {
    value: spec.default === '' ? undefined : parse(spec, spec.default, `--${spec.flag}`),
    origin: `--${spec.flag}`,
  }
}

/** One value by its option's kind. */
function parse(spec: OptionSpec, value: unknown, origin: string): unknown {
  switch (spec.kind) {
    case 'duration':
      return values.duration(value, origin)
    case 'size':
      return values.size(value, origin)
    case 'integer':
      return values.integer(value, origin, spec.bounds?.[0] ?? 0, spec.bounds?.[1] ?? Number.MAX_SAFE_INTEGER)
    case 'boolean':
      return values.boolean(value, origin)
    case 'choice':
      return values.choice(value, origin, spec.words ?? [])
    case 'text':
      return values.text(value, origin)
    case 'header':
      return values.headerName(value, origin)
    case 'list':
      return values.list(value, origin)
    case 'upstream':
      return namedUpstreams(value, origin)
  }
}

function build(settings: Settings, file: ConfigFile | undefined): GatewayConfig {
  const get = <T>(flag: string): T => settings[flag]?.value as T
  const upstreams = get<ReadonlyMap<string, URL> | undefined>('upstream')
  if (upstreams === undefined || upstreams.size === 0) {
    throw new UsageError(
      'No upstream is given. Say which API is behind the gateway: oncekey gateway --upstream https://api.openai.com',
    )
  }
  const route = routeOf(settings, {})
  const workers = get<number>('workers')
  const store = get<string>('store')
  if (workers > 1 && store.startsWith('memory:')) {
    throw new UsageError('--workers needs a store that processes can share, and memory: is not one. Use lmdb:PATH.')
  }
  return {
    upstreams,
    host: get('host'),
    port: get('port'),
    store,
    migrate: !get<boolean>('no-migrate'),
    workers,
    prices: ownPrices(file?.values['prices'], `prices in ${file?.path}`),
    pepper: readPepper(get<string | undefined>('pepper-file'), settings['pepper-file']?.origin ?? ''),
    encryption: readEncryption(get('encryption-key-file'), settings['encryption-key-file']?.origin ?? ''),
    upstreamTimeoutMs: get('upstream-timeout'),
    stopGraceMs: get('stop-grace'),
    route,
    rules: (file?.routes ?? []).map((written, index) =>
      ruleOf(settings, written, `routes[${index}]`, file?.path ?? '', upstreams),
    ),
  }
}

function ruleOf(
  settings: Settings,
  written: Readonly<Record<string, unknown>>,
  place: string,
  path: string,
  upstreams: ReadonlyMap<string, URL>,
): RouteRule {
  const own: Record<string, unknown> = {}
  for (const spec of gatewayOptions) {
    const value = written[fileKey(spec.flag)]
    if (spec.perRoute && value !== undefined)
      own[spec.flag] = parse(spec, value, `${place}.${fileKey(spec.flag)} in ${path}`)
  }
  const { upstream } = written
  if (upstream !== undefined && !upstreams.has(String(upstream))) {
    throw new UsageError(
      `${place}.upstream in ${path} is "${String(upstream)}", which no upstream is named. Known: ${[...upstreams.keys()].join(', ') || 'none'}.`,
    )
  }
  const methods =
    written['methods'] === undefined ? undefined : values.list(written['methods'], `${place}.methods in ${path}`)
  const upper = methods?.map((method) => method.toUpperCase())
  const options = routeOf(settings, own)
  // A rule that names methods covers them: that is how PUT and DELETE are covered.
  return {
    path: String(written['path']),
    methods: upper,
    upstream: upstream === undefined ? undefined : String(upstream),
    options: upper === undefined ? options : { ...options, methods: upper },
  }
}

function routeOf(settings: Settings, own: Readonly<Record<string, unknown>>): RouteOptions {
  const get = <T>(flag: string): T => (own[flag] ?? settings[flag]?.value) as T
  const tenantHeader = get<string | undefined>('tenant-header')
  return {
    ...routeDefaults,
    policy: policyFrom(get, settings),
    covered: get('covered'),
    methods: get<string[]>('methods').map((method) => method.toUpperCase()),
    mismatch: get('mismatch'),
    onDisconnect: get('on-disconnect'),
    keyless: get('keyless'),
    requireKey: get('require-key'),
    strictKeys: get('strict-keys'),
    keyAliases: get<string[] | undefined>('key-aliases') ?? [],
    ignore: checkedPaths(get<string[] | undefined>('ignore') ?? []),
    replayHeaders: get<string[] | undefined>('replay-headers') ?? [],
    maxBodyBytes: get('max-body'),
    maxOutcomeBytes: get('max-outcome'),
    dangerouslyAllowAnonymous: get('dangerously-allow-anonymous'),
    ...(tenantHeader === undefined ? {} : { tenantHeader }),
  }
}

function checkedPaths(paths: string[]): string[] {
  try {
    ignoredPaths(paths)
    return paths
  } catch (error) {
    throw new UsageError(`ignore: ${(error as Error).message}`)
  }
}

function policyFrom(get: <T>(flag: string) => T, settings: Settings): Policy {
  const leaseMs = get<number>('lease')
  if (leaseMs < 500)
    throw new UsageError(
      `${settings['lease']?.origin} is ${leaseMs}ms and must be at least 500ms, or it could not be renewed in time.`,
    )
  const retentionMs = get<number>('retention')
  if (retentionMs <= 0) throw new UsageError(`${settings['retention']?.origin} must be more than 0.`)
  return policyOf({
    onAbandoned: get('on-abandoned'),
    leaseMs,
    retentionMs,
    waitMs: get<number>('wait'),
    skewMs: get<number>('skew'),
    failOpen: get<boolean>('fail-open'),
  })
}

/** The pepper in a file; undefined where none is named. Throws UsageError. */
export function readPepper(path: string | undefined, origin: string): Uint8Array | undefined {
  if (path === undefined) return undefined
  let written: string
  try {
    written = readFileSync(path, 'utf8').trim()
  } catch {
    throw new UsageError(`${origin} is "${path}", which cannot be read. Name a file with the base64 of 32 bytes.`)
  }
  const pepper = Buffer.from(written, 'base64')
  if (pepper.length !== 32 || !/^[\w+/-]{43}=?$/.test(written)) {
    throw new UsageError(
      `The file ${path} (${origin}) must hold the base64 of exactly 32 bytes: head -c 32 /dev/urandom | base64`,
    )
  }
  return pepper
}
