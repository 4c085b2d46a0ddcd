// Private Redis servers: one, a pair, a cluster, and a sentinel over a pair. Valkey is started the same way.
import { execFile, execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ensureProgram } from '../tools.mjs'
import { clockVariables, withClock, writeClock } from './clock.mjs'
import { ownFolder } from './folders.mjs'
import { startServer } from './server.mjs'

const run = promisify(execFile)

/** What a store needs to keep its promise on one machine; no snapshots beside the log, no wait for a second replica. */
const usual = {
  appendonly: 'yes',
  appendfsync: 'always',
  save: '',
  'maxmemory-policy': 'noeviction',
  'repl-diskless-sync-delay': '0',
}

/** Which version a `redis-server` or `valkey-server` is. */
export function redisVersion(program) {
  return /v=([\d.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
}

/** A server of its own. `program` is another `redis-server` or a `valkey-server`; `clock` makes its time movable. */
export async function startRedis({ settings = {}, program, clock = false } = {}) {
  const path = program ?? ensureProgram('redis-server')
  const all = { ...usual, ...settings }
  const folder = ownFolder('redis')
  if (clock) writeClock(folder, 0)
  const password = all.requirepass ? `:${encodeURIComponent(all.requirepass)}@` : ''
  const server = await startServer(
    {
      name: basename(path).replace('-server', ''),
      version: redisVersion(path),
      program: path,
      args: () => ['redis.conf'],
      prepare: ({ port }) => writeConfig(join(folder, 'redis.conf'), { port, bind: '127.0.0.1', ...all }),
      ready: /Ready to accept connections/,
      url: ({ host, port }) => `redis://${password}${host}:${port}`,
      env: () => (clock ? clockVariables(folder) : {}),
      // A cluster's nodes talk to each other on the port 10,000 above.
      portsAbove: all['cluster-enabled'] === 'yes' ? [10_000] : [],
    },
    folder,
  )
  server.cli = (...command) => cli(path, server.port, all.requirepass, command)
  return clock ? withClock(server) : server
}

function writeConfig(path, settings) {
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value === '' ? '""' : value}\n`)
  writeFileSync(path, lines.join(''))
}

async function cli(server, port, password, command) {
  const program = join(dirname(server), basename(server).replace('-server', '-cli'))
  const env = password === undefined ? process.env : { ...process.env, REDISCLI_AUTH: password }
  const { stdout } = await run(program, ['-p', String(port), ...command], { env })
  return stdout
}

/** Resolves when `holds` does; asked every 20 ms for a minute at most. */
async function until(what, holds) {
  for (let tries = 0; tries < 3_000; tries++) {
    if (await holds()) return
    await sleep(20)
  }
  throw new Error(`${what} did not come about within a minute.`)
}

const linked = async (replica) => /master_link_status:up/.test(await replica.cli('info', 'replication'))

/** A primary, and a replica whose link is up. */
export async function startRedisPair({ settings = {} } = {}) {
  const primary = await startRedis({ settings })
  const replica = await startRedis({ settings: { ...settings, replicaof: `127.0.0.1 ${primary.port}` } })
  await until('The link of the Redis replica', () => linked(replica))
  return { primary, replica, stop: () => stopAll([replica, primary]) }
}

/** Three primaries with a replica each, formed and in agreement. */
export async function startRedisCluster({ settings = {} } = {}) {
  const own = {
    ...settings,
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    // A test of a failover waits this long for the others to notice.
    'cluster-node-timeout': '2000',
  }
  const nodes = []
  for (let count = 0; count < 6; count++) nodes.push(await startRedis({ settings: own }))
  const addresses = nodes.map(({ host, port }) => `${host}:${port}`)
  await nodes[0].cli('--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes')
  for (const node of nodes) {
    await until('The agreement of the Redis cluster', async () => {
      const info = await node.cli('cluster', 'info')
      const role = await node.cli('info', 'replication')
      return /cluster_state:ok/.test(info) && (/role:master/.test(role) ? /slave0:/ : /link_status:up/).test(role)
    })
  }
  return { nodes, url: `redis+cluster://${addresses.join(',')}`, stop: () => stopAll(nodes) }
}

/** A sentinel that watches a pair, fails over on its own word, and knows the replica. */
export async function startSentinel({ primary }) {
  const name = 'oncekey'
  const path = ensureProgram('redis-server')
  const folder = ownFolder('sentinel')
  const server = await startServer(
    {
      name: 'sentinel',
      version: redisVersion(path),
      program: path,
      args: () => ['sentinel.conf', '--sentinel'],
      prepare: ({ port }) =>
        writeConfig(join(folder, 'sentinel.conf'), {
          port,
          bind: '127.0.0.1',
          'sentinel monitor': `${name} ${primary.host} ${primary.port} 1`,
          'sentinel down-after-milliseconds': `${name} 1000`,
          'sentinel failover-timeout': `${name} 5000`,
        }),
      ready: /\+monitor master/,
      url: ({ host, port }) => `redis+sentinel://${host}:${port}/${name}`,
    },
    folder,
  )
  const knowsReplica = async () =>
    /flags,?\s*slave\b/.test(
      (await cli(path, server.port, undefined, ['sentinel', 'replicas', name])).replaceAll('\n', ' '),
    )
  await until('The knowledge of the Redis sentinel', knowsReplica)
  const hosts = [{ host: server.host, port: server.port }]
  return { url: server.url, hosts, master: name, stop: () => server.stop() }
}

async function stopAll(servers) {
  await Promise.all(servers.map((server) => server.stop()))
}
