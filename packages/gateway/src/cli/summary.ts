/** What `oncekey config check` prints: what would hold, and for whom. */
import { type loadConfigFile, redacted, UsageError } from '../config/index.ts'
import { type GatewayRoute, Routes, upstreamOf } from '../server/index.ts'

type Checked = ReturnType<typeof loadConfigFile>

/** Upstreams with their presets, the routes in order, and the top level. */
export function summaryOf(config: Checked): string {
  const { file, upstreams, presets, route, store } = config
  const lines = [...upstreams].map(([name, url]) => {
    const known = presets.get(name)?.join(', ') || 'none'
    return `  ${[name, shown(url)].filter((part) => part !== '').join(' = ')} (preset ${known})`
  })
  const routes = file.routesAsWritten.map((written, index) => `  ${index}  ${ruleText(written)}`)
  return [
    `${file.path} is right.`,
    'upstreams:',
    ...(lines.length > 0 ? lines : ['  none here: --upstream has to say']),
    'routes, the first match counts:',
    ...(routes.length > 0 ? routes : ['  none']),
    `else: ${optionsText(route)}`,
    `store: ${redacted(store)}`,
  ].join('\n')
}

/** The rules that a request falls under, and what holds for it. Throws UsageError for what is no request. */
export function whatHolds(config: Checked, request: string): string {
  const [, method = '', path = ''] = /^([A-Z]+) (\/\S*)$/.exec(request.trim()) ?? []
  if (method === '')
    throw new UsageError(`--route is "${request}" and must be a method and a path: 'POST /v1/batches'.`)
  const { file, upstreams, presets, routes } = config
  const [bare = path] = path.split('?')
  const picked = upstreamOf(upstreams, bare)
  const url = picked && upstreams.get(picked.name)
  const rules = picked && routes.get(picked.name)
  if (picked === undefined || url === undefined || rules === undefined) {
    const known = [...upstreams.keys()].map((name) => `/${name}/`).join(', ') || 'none, as the file has no upstream'
    throw new UsageError(`--route is "${request}", and no upstream takes it. Paths begin with one of: ${known}.`)
  }
  const match = new Routes(rules).match(method, picked.path)
  const { own, preset, options } = match
  const index = own === undefined ? -1 : config.rules.findIndex((rule) => Object.is(rule, own))
  const isCovered = options.covered && options.methods.includes(method)
  return [
    `${method} ${bare}`,
    `  upstream  ${picked.name === '' ? shown(url) : `${picked.name} = ${shown(url)}`}`,
    `  route     ${index < 0 ? 'none of the file' : `routes[${index}]  ${ruleText(file.routesAsWritten[index] ?? {})}`}`,
    `  preset    ${presets.get(picked.name)?.join(', ') || 'none'}${preset === undefined ? '' : `: ${preset.path}`}`,
    `  holds     ${isCovered ? optionsText(options) : 'nothing: it is passed through'}`,
    ...(isCovered && match.ifAsked !== undefined
      ? [`            with ${match.ifAsked.member} true in its body: ${optionsText(match.ifAsked.options)}`]
      : []),
  ].join('\n')
}

function optionsText({ policy, keyless, onDisconnect, mismatch }: GatewayRoute): string {
  const said = {
    onAbandoned: policy.onAbandoned,
    retention: time(policy.retentionMs),
    wait: time(policy.waitMs),
    keyless,
    onDisconnect,
    mismatch,
  }
  return Object.entries(said)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ')
}

/** `/v1/batches [POST] of openai: onAbandoned unknown`. */
function ruleText({ path, methods, upstream, ...said }: Readonly<Record<string, unknown>>): string {
  const words = Object.entries(said).map(([key, value]) => `${key} ${plain(value)}`)
  const place = [
    String(path),
    methods === undefined ? '' : ` [${plain(methods)}]`,
    upstream === undefined ? '' : ` of ${plain(upstream)}`,
  ]
  return place.join('') + (words.length > 0 ? `: ${words.join(', ')}` : '')
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.join(' ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function shown(url: URL): string {
  return url.protocol === 'sandbox:' ? 'sandbox:' : url.href.replace(/\/$/, '')
}

/** In the largest unit that leaves no rest; a day or two are hours, as in the defaults. */
function time(ms: number): string {
  if (ms >= 604_800_000 && ms % 86_400_000 === 0) return `${ms / 86_400_000}d`
  const units = { h: 3_600_000, m: 60_000, s: 1000 }
  const [unit, size] = Object.entries(units).find(([, size]) => ms >= size && ms % size === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
