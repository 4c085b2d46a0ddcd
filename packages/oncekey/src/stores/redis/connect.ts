/** Tells which client was given: ioredis or node-redis, of one server, of Sentinel's, or of a cluster. */
import { IdempotencyError } from '../../core/errors.ts'
import { type IoredisClient, type IoredisCluster, ioredisClusterWire, ioredisWire } from './ioredis.ts'
import {
  type NodeRedisClient,
  type NodeRedisCluster,
  type NodeRedisSentinel,
  nodeRedisClusterWire,
  nodeRedisSentinelWire,
  nodeRedisWire,
} from './noderedis.ts'
import type { Wire } from './wire.ts'

/**
 * A client of Redis, connected or about to be: ioredis' `Redis` or `Cluster`, or node-redis' `createClient()`,
 * `createSentinel()` or `createCluster()`. By its shape, so that neither driver need be there for the other's types.
 */
export type RedisClient = IoredisClient | IoredisCluster | NodeRedisClient | NodeRedisSentinel | NodeRedisCluster

/** The wire over a client. Throws `config_invalid` for what is none, or renames keys. */
export function wireOf(client: RedisClient): Wire {
  if ('callBuffer' in client) {
    if (client.options.keyPrefix) throw invalid('The client has a keyPrefix, which SCAN does not know. Give the store')
    return client.isCluster ? ioredisClusterWire(client as IoredisCluster) : ioredisWire(client)
  }
  if ('nodeClient' in client) return nodeRedisClusterWire(client)
  if ('getMasterNode' in client) return nodeRedisSentinelWire(client)
  if ('sendCommand' in client) return nodeRedisWire(client)
  throw new IdempotencyError('config_invalid', 'redisStore needs a client of ioredis or of node-redis ("redis").')
}

function invalid(sentence: string): IdempotencyError {
  return new IdempotencyError('config_invalid', `${sentence} its own option \`prefix\` instead.`)
}
