/** Redis stores on private servers, by each client, with a server's clock that a test moves. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { type MovedClock, type RedisServer, startRedis } from '../../../../scripts/services.mjs'
import type { RecordId } from '../../src/core/key.ts'
import type { Store } from '../../src/core/store.ts'
import { type RedisClient, type RedisStoreOptions, redisStore } from '../../src/stores/redis/index.ts'
import type { OpenedStore } from '../../src/testing/index.ts'

/** Servers under one moved clock: one, or the primaries of a cluster. */
export interface Servers extends MovedClock {
  readonly nodes: readonly (RedisServer & MovedClock)[]
  /** Forgets all keys, and sets the clock right. */
  reset(): Promise<void>
  stop(): Promise<void>
}

/** A connected client and how it is left. */
export interface Connected {
  readonly client: RedisClient
  end(): Promise<void> | void
}

/** A way to connect to servers. */
export type Connect = (servers: Servers) => Promise<Connected> | Connected

/** A store under test, and more ways to its data. */
export interface OpenedRedis extends OpenedStore {
  readonly servers: Servers
  another(): Promise<Store>
}

/** One server with a clock of its own. */
export async function startOne(settings: Readonly<Record<string, string>> = {}): Promise<Servers> {
  return under([await startRedis({ settings, clock: true })])
}

/** Three primaries that share a clock. They wait for each other for weeks, or a moved clock would make them fail over. */
export async function startThree(): Promise<Servers> {
  const settings = {
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    'cluster-node-timeout': '2000000000',
  }
  const nodes = await Promise.all([1, 2, 3].map(() => startRedis({ settings, clock: true })))
  const addresses = nodes.map(({ host, port }) => `${host}:${port}`)
  await nodes[0]?.cli('--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes')
  for (const node of nodes) {
    while (!(await node.cli('cluster', 'info')).includes('cluster_state:ok'))
      await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return under(nodes)
}

function under(nodes: readonly (RedisServer & MovedClock)[]): Servers {
  let movedMs = 0
  const move = async (ms: number): Promise<void> => {
    movedMs += ms
    await Promise.all(nodes.map((node) => node.advance(ms)))
  }
  return {
    nodes,
    advance: move,
    stepWall: move,
    reset: async () => {
      await Promise.all(nodes.map((node) => node.cli('flushall')))
      await move(-movedMs)
    },
    stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
  }
}

/** The clients that the store speaks, each in both versions of the protocol where it has them. */
export const clients = {
  ioredis: ({ nodes: [node] }: Servers) => ofIoredis(new Redis({ port: portOf(node), protocol: 3 })),
  'ioredis, RESP2': ({ nodes: [node] }: Servers) => ofIoredis(new Redis({ port: portOf(node), protocol: 2 })),
  'node-redis': ({ nodes: [node] }: Servers) => ofNodeRedis(createClient({ socket: { port: portOf(node) }, RESP: 3 })),
  'node-redis, RESP2': ({ nodes: [node] }: Servers) =>
    ofNodeRedis(createClient({ socket: { port: portOf(node) }, RESP: 2 })),
} satisfies Record<string, Connect>

/** The same for a cluster. */
export const clusterClients = {
  'ioredis, cluster': ({ nodes }: Servers) => ofIoredis(new Cluster(nodes.map(({ host, port }) => ({ host, port })))),
  'node-redis, cluster': ({ nodes }: Servers) =>
    ofNodeRedis(createCluster({ rootNodes: nodes.map(({ url }) => ({ url })) })),
} satisfies Record<string, Connect>

function portOf(server: RedisServer | undefined): number {
  return server?.port ?? 0
}

/** A client of ioredis. Faults are the tests' own, and their errors come with the calls. */
export function ofIoredis(client: Redis | Cluster): Connected {
  client.on('error', () => {})
  return { client, end: () => client.disconnect() }
}

/** What the clients of node-redis share. */
type NodeRedis = RedisClient & {
  on(event: 'error', listener: () => void): unknown
  connect(): Promise<unknown>
  destroy(): void
}

/** A client of node-redis. */
export async function ofNodeRedis(client: NodeRedis): Promise<Connected> {
  client.on('error', () => {})
  await client.connect()
  return { client, end: () => client.destroy() }
}

/** Opens a store on servers that have forgotten everything. */
export async function openRedis(
  servers: Servers,
  connect: Connect,
  options: RedisStoreOptions = {},
): Promise<OpenedRedis> {
  await servers.reset()
  const ends: (() => Promise<void> | void)[] = []
  const another = async (): Promise<Store> => {
    const { client, end } = await connect(servers)
    ends.push(end)
    return redisStore(client, options)
  }
  return {
    servers,
    store: await another(),
    another,
    advance: (ms) => servers.advance(ms),
    stepWall: (ms) => servers.stepWall(ms),
    close: async () => {
      for (const end of ends) await end()
    },
  }
}

/** Stops a server's clock at a time; nothing but another call moves it. Times of day are read in the zone of this process. */
export function freeze({ folder }: RedisServer, wallMs: number): void {
  const path = join(folder, 'clock')
  const zoneMs = new Date(wallMs).getTimezoneOffset() * 60_000
  // A hair above, for libfaketime rounds 0.002 s down to 1,999 µs.
  const time = new Date(wallMs - zoneMs).toISOString().replace('T', ' ').replace('Z', '00001')
  writeFileSync(`${path}.new`, `${time}\n`)
  renameSync(`${path}.new`, path)
}

/** Gives a record a format that no version has. */
export async function damage({ servers }: OpenedRedis, recordId: RecordId): Promise<void> {
  const [node] = servers.nodes
  await node?.cli('-c', 'hset', `ok:{${recordId}}`, 'g', 'x'.repeat(200))
}
