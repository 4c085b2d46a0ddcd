/** Redis and Valkey by URL: one server, a cluster, or the primary that Sentinel names; through ioredis. */
import { Cluster, Redis } from 'ioredis'
import { type RedisStoreOptions, redisStore } from 'oncekey/redis'
import { redacted, UsageError } from '../config/index.ts'
import { unreachable } from './reach.ts'
import type { OpenedStore } from './store.ts'

/** Shorter than what the store has at the start, so that the reason is told and not the time. */
const connectMs = 4_000

/** What a URL says. */
export interface RedisUrl {
  readonly kind: 'single' | 'cluster' | 'sentinel'
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly db: number
  /** Sentinel's name of the primary. */
  readonly master: string
  readonly options: RedisStoreOptions
}

/**
 * Reads `redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=P&waitReplicas=N&hints=1]`, the same with `rediss`, and with
 * `+cluster` and a list of hosts, or `+sentinel`, a list and the primary's name in place of DB. Throws UsageError.
 */
export function readRedisUrl(url: string): RedisUrl {
  const form = /^(rediss?)(?:\+(cluster|sentinel))?:\/\/(?:([^/?#]*)@)?([^/?#@]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/s.exec(
    url,
  )
  if (form === null) throw wrong(url, 'must look like redis://USER:PASSWORD@HOST:PORT/DB')
  const [, scheme, form2, credentials = '', hosts = '', path = '', query = ''] = form
  const kind = form2 === 'cluster' || form2 === 'sentinel' ? form2 : 'single'
  const colon = credentials.indexOf(':')
  const [username, password] =
    colon < 0 ? [credentials, ''] : [credentials.slice(0, colon), credentials.slice(colon + 1)]
  const list = hosts.split(',').map((host) => hostOf(host, kind === 'sentinel' ? 26_379 : 6_379, url))
  if (kind === 'single' && list.length > 1) throw wrong(url, 'names several hosts, which only redis+cluster:// has')
  if (kind === 'sentinel' && path === '') throw wrong(url, 'must end with the name that Sentinel has for the primary')
  if (kind === 'cluster' && path !== '') throw wrong(url, 'names a database, and a cluster has only one')
  if (kind === 'single' && !/^\d{0,4}$/.test(path)) throw wrong(url, 'must have a number for the database')
  return {
    kind,
    tls: scheme === 'rediss',
    username: decoded(username, url) || undefined,
    password: decoded(password, url) || undefined,
    hosts: list,
    db: kind === 'single' ? Number(path) : 0,
    master: kind === 'sentinel' ? decoded(path, url) : '',
    options: storeOptions(new URLSearchParams(query), url),
  }
}

function hostOf(written: string, defaultPort: number, url: string): { host: string; port: number } {
  const [, plain, bracketed, port] = /^(?:([^:[\]]+)|\[([^\]]+)\])(?::(\d{1,5}))?$/.exec(written.trim()) ?? []
  const host = plain ?? bracketed
  const number = Number(port ?? defaultPort)
  if (host === undefined || number < 1 || number > 65_535) throw wrong(url, 'must name its hosts as HOST or HOST:PORT')
  return { host, port: number }
}

function storeOptions(query: URLSearchParams, url: string): RedisStoreOptions {
  let options: RedisStoreOptions = {}
  for (const [name, value] of query) {
    if (name === 'prefix' && value !== '') options = { ...options, prefix: value }
    else if (name === 'waitReplicas' && /^\d{1,2}$/.test(value)) options = { ...options, waitReplicas: Number(value) }
    else if (name === 'hints' && /^[01]$/.test(value)) options = { ...options, hints: value === '1' }
    else if (name === 'prefix') throw wrong(url, 'has an empty prefix')
    else if (name === 'waitReplicas') throw wrong(url, 'has a waitReplicas that is not a number from 0 to 99')
    else if (name === 'hints') throw wrong(url, 'has hints that are neither 0 nor 1')
    else throw wrong(url, `has the unknown option "${name}"; there are prefix, waitReplicas and hints`)
  }
  return options
}

function decoded(text: string, url: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw wrong(url, 'has a % that begins no escape: write %25 for the sign itself')
  }
}

function wrong(url: string, what: string): UsageError {
  return new UsageError(`The store "${redacted(url)}" ${what}.`)
}

/** Connects, and opens the store over the connection. */
export async function openRedis(url: string): Promise<OpenedStore> {
  const asked = readRedisUrl(url)
  const client = clientOf(asked)
  let last: unknown
  // Without a listener a connection that breaks while it is idle would end the process; the driver connects again.
  client.on('error', (error: unknown) => (last = error))
  try {
    await connected(client)
    // A database that is not there is told of as an event only.
    if (last !== undefined) throw last
  } catch (error) {
    client.disconnect()
    throw unreachable(sentenceFor(last ?? error, asked), url, last ?? error)
  }
  const store = redisStore(client, asked.options)
  const close = async (): Promise<void> => {
    await store.close()
    client.disconnect()
  }
  return { store, close }
}

function clientOf({ kind, hosts, tls, username, password, db, master }: RedisUrl): Redis | Cluster {
  const retry = (times: number): number => Math.min(times * 50, 1_000)
  const common = {
    lazyConnect: true,
    // A call that waits for a connection would be made when nobody waits for its answer any more.
    enableOfflineQueue: false,
    connectTimeout: connectMs,
    retryStrategy: retry,
    connectionName: 'oncekey',
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
  const secure = tls ? { tls: {} } : {}
  const [first = { host: 'localhost', port: 6_379 }] = hosts
  if (kind === 'single') return new Redis({ ...common, ...secure, ...first, db })
  if (kind === 'sentinel') {
    const sentinels = { sentinels: [...hosts], name: master, sentinelRetryStrategy: retry }
    return new Redis({
      ...common,
      ...sentinels,
      ...(tls ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
    })
  }
  return new Cluster([...hosts], {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: retry,
    redisOptions: { ...common, ...secure },
    // Certificates are made out to names, so names are not to be resolved here.
    ...(tls
      ? { dnsLookup: (address: string, done: (error: null, address: string) => void) => done(null, address) }
      : {}),
  })
}

async function connected(client: Redis | Cluster): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('time-out'), { code: 'ETIMEDOUT' })), connectMs)
  })
  try {
    await Promise.race([client.connect(), late])
  } finally {
    clearTimeout(timer)
  }
}

/** What Redis refused, in our words; undefined for all that is about the way to it. */
function sentenceFor(error: unknown, { kind, db, master }: RedisUrl): string | undefined {
  const { message, lastNodeError } = error as Error & { lastNodeError?: Error }
  const said = `${message} ${lastNodeError?.message ?? ''}`
  if (said.includes('WRONGPASS')) return 'refused the user or password. Check USER:PASSWORD in the URL'
  if (said.includes('NOAUTH')) return 'asks for a password. Put it into the URL: redis://:PASSWORD@HOST'
  if (said.includes('DB index')) return `has no database ${db}. Check the number at the end of the URL`
  if (said.includes('cluster support disabled')) return 'is not a cluster. Use redis:// in place of redis+cluster://'
  if (kind === 'sentinel' && /sentinel/i.test(said))
    return `does not know a primary named "${master}", or no Sentinel answered. Check the hosts and the name`
  return undefined
}
