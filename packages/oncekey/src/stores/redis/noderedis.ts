/** node-redis behind the wire: `createClient`, `createSentinel` and `createCluster`. */
import { refusal } from './refusals.ts'
import { asError, type Command, type Primary, type Reply, settledReplies, type Wire, waitCommand } from './wire.ts'

/** `$`, the type of a byte string in RESP, is answered as a Buffer; the default is text. */
const bytes = { typeMapping: { 36: Buffer } } as const

/** What a single command may be told. */
interface CommandOptions {
  readonly typeMapping: { readonly 36: typeof Buffer }
}

/** What the store uses of `createClient()`, 5 or 6. */
export interface NodeRedisClient {
  readonly isReady: boolean
  sendCommand(args: (string | Buffer)[], options?: CommandOptions): Promise<unknown>
}

/** What `createSentinel()` lends for a while: its connection to the primary. */
export interface NodeRedisLease {
  sendCommand(isReadonly: boolean, args: (string | Buffer)[], options?: CommandOptions): Promise<unknown>
}

/** What the store uses of `createSentinel()`, 5 or 6. */
export interface NodeRedisSentinel {
  getMasterNode(): unknown
  use<T>(run: (client: NodeRedisLease) => Promise<T>): Promise<T>
}

/** What the store uses of `createCluster()`, 5 or 6. */
export interface NodeRedisCluster {
  readonly masters: readonly { readonly address: string }[]
  nodeClient(node: never): Promise<NodeRedisClient>
  sendCommand(
    firstKey: string,
    isReadonly: boolean,
    args: (string | Buffer)[],
    options?: CommandOptions,
  ): Promise<unknown>
}

/** One server. What is asked in one turn is one write. */
export function nodeRedisWire(client: NodeRedisClient): Wire {
  return oneServer({ send: (commands) => settledReplies(commands.map((command) => call(client, command))) })
}

/** The server that Sentinel names. A batch borrows one connection, for the client gives each command its own turn. */
export function nodeRedisSentinelWire(sentinel: NodeRedisSentinel): Wire {
  return oneServer({
    async send(commands) {
      const all = (lease: NodeRedisLease): Promise<Reply[]> =>
        settledReplies(commands.map((command) => lease.sendCommand(false, [...command], bytes)))
      return sentinel.use(all).catch((error: unknown) => commands.map(() => asError(error)))
    },
  })
}

/** A cluster: each command finds its server, also while slots move. */
export function nodeRedisClusterWire(cluster: NodeRedisCluster): Wire {
  const masters = async (): Promise<NodeRedisClient[]> => {
    try {
      const nodes = [...cluster.masters].sort((a, b) => (a.address < b.address ? -1 : 1))
      return await Promise.all(nodes.map((node) => cluster.nodeClient(node as never)))
    } catch (error) {
      throw refusal(error)
    }
  }
  return {
    async send(commands, wait) {
      const before = wait === undefined ? [] : await masters()
      const calls = commands.map(({ key, command }) => cluster.sendCommand(key, false, [...command], bytes))
      const replies = await settledReplies(calls)
      if (wait === undefined) return { replies, acknowledged: [] }
      const all = new Set([...before, ...(await masters())])
      const waits = [...all].map((client) => call(client, waitCommand(wait)))
      return { replies, acknowledged: await settledReplies(waits) }
    },
    primaries: async () => (await masters()).map(primaryOf),
  }
}

function oneServer(primary: Primary): Wire {
  return {
    async send(commands, wait) {
      const plain = commands.map(({ command }) => command)
      if (wait === undefined) return { replies: await primary.send(plain), acknowledged: [] }
      // Right behind what it waits for, on the same connection: one that breaks rejects what it has not answered yet,
      // and node-redis sends nothing a second time.
      const replies = await primary.send([...plain, waitCommand(wait)])
      return { replies: replies.slice(0, -1), acknowledged: replies.slice(-1) }
    },
    primaries: async () => [primary],
  }
}

function primaryOf(client: NodeRedisClient): Primary {
  return { send: (commands) => settledReplies(commands.map((command) => call(client, command))) }
}

function call(client: NodeRedisClient, command: Command): Promise<unknown> {
  return client.sendCommand([...command], bytes)
}
