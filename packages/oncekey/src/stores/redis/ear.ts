/** The one connection of a process that hears messages, of whichever client; made again whenever it is lost. */
import type { RedisClient } from './connect.ts'

/** A connection that listens, or is about to. Subscribing twice is subscribing once. */
export interface Ear {
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  close(): void
}

/** What an ear is for. */
export interface EarParts {
  heard(channel: string): void
  /** The channels to subscribe to on a new connection. */
  wanted(): readonly string[]
  /** A channel of no record. */
  readonly idle: string
}

/** What it needs of ioredis. */
interface Ioredis {
  readonly isCluster: boolean
  readonly status: string
  duplicate(options: unknown): Ioredis
  connect(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: (channel: string) => void): unknown
  off(event: string, listener: (channel: string) => void): unknown
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
}

/** What it needs of node-redis. */
interface NodeRedis {
  readonly isOpen: boolean
  readonly options?: { readonly socket?: object }
  duplicate(options: unknown): NodeRedis
  connect(): Promise<unknown>
  destroy(): void
  on(event: string, listener: () => void): unknown
  subscribe(channels: string | readonly string[], heard: Heard): Promise<void>
  unsubscribe(channels: string | readonly string[], heard: Heard): Promise<void>
}

type Heard = (message: string, channel: string) => void

/** How long a lost connection stays lost, ms. It is never given up, whatever the user's own strategy. */
function reconnectMs(times: number): number {
  return Math.min(100 * 2 ** Math.min(times, 10), 10_000)
}

const ignored = (): undefined => undefined

/** Opens an ear beside a client. */
export function earOf(client: RedisClient, parts: EarParts): Ear {
  if ('callBuffer' in client) return ioredisEar(client as unknown as Ioredis, parts)
  const node = client as unknown as NodeRedis
  return 'nodeClient' in client || 'getMasterNode' in client ? lentEar(node, parts) : nodeRedisEar(node, parts)
}

/** A connection of its own, to the server or the one that Sentinel names. A cluster has one for subscribers already. */
function ioredisEar(client: Ioredis, { heard, wanted }: EarParts): Ear {
  const retry = { retryStrategy: reconnectMs, sentinelRetryStrategy: reconnectMs }
  const own = { ...retry, lazyConnect: true, enableOfflineQueue: false, autoResubscribe: false }
  const subscriber = client.isCluster ? client : client.duplicate(own)
  const all = (): void => {
    const channels = wanted()
    if (channels.length > 0) subscriber.subscribe(...channels).catch(ignored)
  }
  subscriber.on('message', heard)
  subscriber.on('ready', all)
  if (subscriber !== client) {
    subscriber.on('error', ignored)
    subscriber.connect().catch(ignored)
  }
  return {
    // Before it is ready nothing can be sent, and then all that is wanted is.
    subscribe: async (channel) => (subscriber.status === 'ready' ? subscriber.subscribe(channel) : undefined),
    unsubscribe: async (channel) => (subscriber.status === 'ready' ? subscriber.unsubscribe(channel) : undefined),
    close: () => {
      subscriber.off('message', heard)
      subscriber.off('ready', all)
      if (subscriber !== client) return subscriber.disconnect()
      const channels = wanted()
      if (channels.length > 0) subscriber.unsubscribe(...channels).catch(ignored)
    },
  }
}

/** A connection of its own. */
function nodeRedisEar(client: NodeRedis, parts: EarParts): Ear {
  const socket = { ...client.options?.socket, reconnectStrategy: reconnectMs }
  const subscriber = client.duplicate({ socket, disableOfflineQueue: true })
  const heard: Heard = (_, channel) => parts.heard(channel)
  subscriber.on('error', ignored)
  subscriber.on('ready', () => {
    const channels = parts.wanted()
    if (channels.length > 0) subscriber.subscribe(channels, heard).catch(ignored)
  })
  subscriber.connect().catch(ignored)
  return {
    subscribe: async (channel) => subscriber.subscribe(channel, heard),
    unsubscribe: async (channel) => subscriber.unsubscribe(channel, heard),
    close: () => {
      if (subscriber.isOpen) subscriber.destroy()
    },
  }
}

/**
 * Sentinel's client and a cluster's have a connection for subscribers, which they make again by themselves, on another
 * server if need be. They end it with the last subscription, so one is kept.
 */
function lentEar(client: NodeRedis, parts: EarParts): Ear {
  const heard: Heard = (_, channel) => parts.heard(channel)
  const subscribe = async (channel: string): Promise<void> => client.subscribe(channel, heard)
  const unsubscribe = async (channels: string | readonly string[]): Promise<void> => client.unsubscribe(channels, heard)
  subscribe(parts.idle).catch(ignored)
  return {
    subscribe,
    unsubscribe,
    close: () => void unsubscribe([parts.idle, ...parts.wanted()]).catch(ignored),
  }
}
