/** Hints of the Redis store: heard in another process by each client, lost without harm, and gone with the store. */
import { readFileSync } from 'node:fs'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type RedisServer,
  startRedis,
  startRedisCluster,
  startRedisPair,
  startSentinel,
} from '../../../../scripts/services.mjs'
import type { Store } from '../../src/core/store.ts'
import { type RedisClient, redisStore } from '../../src/stores/redis/index.ts'
import { ask, connected, Heard, hearsOfEveryChange, hearsOfMany, idOf, settlement, stopsOneByOne } from './hints.ts'
import { type Connected, ofIoredis, ofNodeRedis } from './redis.ts'

const guide = new URL('../../../../docs/guide/stores-redis.md', import.meta.url)

/** Servers of one kind, and a client of them. */
interface Way {
  readonly nodes: readonly RedisServer[]
  connect(): Promise<Connected> | Connected
  stop(): Promise<void>
}

const inNoTime = { settings: { 'shutdown-timeout': '0' } }

async function one(connect: (url: string) => Connected | Promise<Connected>): Promise<Way> {
  const server = await startRedis()
  return { nodes: [server], connect: () => connect(server.url), stop: () => server.stop() }
}

async function cluster(connect: (nodes: readonly RedisServer[]) => Connected | Promise<Connected>): Promise<Way> {
  const started = await startRedisCluster(inNoTime)
  return { nodes: started.nodes, connect: () => connect(started.nodes), stop: () => started.stop() }
}

type Hosts = Awaited<ReturnType<typeof startSentinel>>

async function sentinel(connect: (hosts: Hosts) => Connected | Promise<Connected>): Promise<Way> {
  const pair = await startRedisPair(inNoTime)
  const started = await startSentinel(pair)
  const stop = async (): Promise<void> => {
    await started.stop()
    await pair.stop()
  }
  return { nodes: [pair.primary, pair.replica], connect: () => connect(started), stop }
}

const ways: Readonly<Record<string, () => Promise<Way>>> = {
  // As the gateway makes it: a connection that is not there yet must not lose what was subscribed.
  ioredis: () => one((url) => ofIoredis(new Redis(url, { enableOfflineQueue: false, protocol: 3 }))),
  'ioredis, RESP2': () => one((url) => ofIoredis(new Redis(url, { protocol: 2 }))),
  'node-redis': () => one((url) => ofNodeRedis(createClient({ url, RESP: 3, disableOfflineQueue: true }))),
  'node-redis, RESP2': () => one((url) => ofNodeRedis(createClient({ url, RESP: 2 }))),
  'ioredis, Sentinel': () =>
    sentinel(({ hosts, master }) => ofIoredis(new Redis({ sentinels: [...hosts], name: master }))),
  'node-redis, Sentinel': () =>
    sentinel(({ hosts, master }) => ofNodeRedis(createSentinel({ name: master, sentinelRootNodes: [...hosts] }))),
  'ioredis, cluster': () => cluster((nodes) => ofIoredis(new Cluster(nodes.map(({ host, port }) => ({ host, port }))))),
  'node-redis, cluster': () =>
    cluster((nodes) => ofNodeRedis(createCluster({ rootNodes: nodes.map(({ url }) => ({ url })) }))),
}

describe.each(Object.entries(ways))('by %s, another process', (_, start) => {
  let way: Way
  beforeAll(async () => {
    way = await start()
  }, 60_000)
  afterAll(() => way.stop())

  /** Two stores over a client each, as two processes have them. */
  async function pair(use: (writer: Store, hearer: Store, client: RedisClient) => Promise<void>): Promise<void> {
    const [here, there] = [await way.connect(), await way.connect()]
    const [writer, hearer] = [here, there].map(({ client }) => redisStore(client, { hints: true })) as [Store, Store]
    try {
      await expect
        .poll(() =>
          writer.read([idOf('a')]).then(
            () => true,
            () => false,
          ),
        )
        .toBe(true)
      await use(writer, hearer, there.client)
    } finally {
      await Promise.all([writer.close(), hearer.close()])
      await here.end()
      await there.end()
      await Promise.all(way.nodes.map((node) => node.cli('flushall').catch(() => '')))
    }
  }

  /** Connections that have subscribed to something, over all nodes; Sentinel has some of its own. */
  async function subscribers(): Promise<string[]> {
    const lists = await Promise.all(way.nodes.map((node) => node.cli('client', 'list', 'type', 'pubsub')))
    return lists
      .flatMap((list) => list.split('\n'))
      .filter((line) => /\bsub=[1-9]/.test(line) && !/name=sentinel/.test(line))
  }

  test('hears of every change that others wait for, and of no other record', () => pair(hearsOfEveryChange))

  test('hears of 500 records that one call changed', () => pair(hearsOfMany))

  test('hears nothing more once it has stopped, and is sent nothing', () =>
    pair(async (writer, hearer) => {
      await stopsOneByOne(writer, hearer)
      const channels = async (): Promise<string[]> => {
        const lists = await Promise.all(way.nodes.map((node) => node.cli('pubsub', 'channels', 'ok:{*')))
        return lists.flatMap((list) => list.split('\n')).filter((line) => line.trim() !== '')
      }
      await expect.poll(channels).toEqual([])
    }))

  test('hears again by itself after its connection was ended, and no call fails', () =>
    pair(async (writer, hearer) => {
      await writer.claim([ask('kept')])
      const heard = new Heard(hearer, 'kept')
      await connected(writer, hearer)
      await Promise.all(way.nodes.map((node) => node.cli('client', 'kill', 'type', 'pubsub')))
      await hearer.read([idOf('kept')])
      await connected(writer, hearer)
      // Also of what was watched before the connection was lost.
      const told = async (): Promise<number> => {
        await writer.settle([settlement('kept', 'head')])
        return heard.count
      }
      await expect.poll(told, { timeout: 10_000 }).toBeGreaterThan(0)
      heard.stop()
    }))

  test('leaves no connection when its store is closed, and watching then does nothing', () =>
    pair(async (writer, hearer) => {
      expect(await subscribers()).toEqual([])
      await connected(writer, hearer)
      await hearer.close()
      await expect.poll(subscribers).toEqual([])
      const heard = new Heard(hearer, 'probe')
      await writer.settle([settlement('probe', 'completed')])
      await expect(hearer.read([idOf('probe')])).rejects.toMatchObject({ code: 'store_unavailable' })
      heard.stop()
      expect([heard.count, await subscribers()]).toEqual([0, []])
    }))
})

test('without the option there is no watch, and nothing is published', async () => {
  const server = await startRedis()
  const [here, there] = [ofIoredis(new Redis(server.url)), ofIoredis(new Redis(server.url))]
  const [quiet, hearer] = [redisStore(here.client), redisStore(there.client, { hints: true })]
  expect([quiet.capabilities.hints, quiet.watch, hearer.capabilities.hints]).toEqual([false, undefined, true])
  await connected(hearer, hearer)
  await quiet.claim([ask('quiet')])
  const heard = new Heard(hearer, 'quiet')
  expect(await heard.after(() => quiet.settle([settlement('quiet', 'completed')]))).toBeUndefined()
  await hearer.close()
  for (const { end } of [here, there]) await end()
  await server.stop()
})

test('a user that may not publish has all but hints', async () => {
  const server = await startRedis()
  await server.cli('acl', 'setuser', 'mute', 'on', '>pw', '~ok:*', '+@all', 'resetchannels')
  const { client, end } = ofIoredis(new Redis({ port: server.port, username: 'mute', password: 'pw' }))
  const store = redisStore(client, { hints: true })
  await store.claim([ask('a')])
  const heard = new Heard(store, 'a')
  expect((await store.settle([settlement('a', 'completed')]))[0]?.kind).toBe('recorded')
  heard.stop()
  await store.close()
  await end()
  await server.stop()
})

test('the rights that the guide names are enough', async () => {
  const text = readFileSync(guide, 'utf8')
  const [, commands = '', keys = ''] = /needs the commands of\n`([^`]+)`, on `([^`]+)`/.exec(text) ?? []
  const more = /for hints `([^`]+)`/.exec(text)?.[1] ?? ''
  const server = await startRedis()
  await server.cli('acl', 'setuser', 'store', 'on', '>pw', ...`${commands} ${keys} resetchannels ${more}`.split(' '))
  const { client, end } = ofIoredis(new Redis({ port: server.port, username: 'store', password: 'pw' }))
  const store = redisStore(client, { hints: true })
  await connected(store, store)
  await store.close()
  await end()
  await server.stop()
})

test('a Redis that is away gives nobody an error, and hints come once it is back', async () => {
  for (const connect of [
    (url: string) => ofIoredis(new Redis(url, { enableOfflineQueue: false })),
    (url: string) => ofNodeRedis(createClient({ url, disableOfflineQueue: true })),
  ]) {
    const server = await startRedis()
    const [here, there] = [await connect(server.url), await connect(server.url)]
    const [writer, hearer] = [here, there].map(({ client }) => redisStore(client, { hints: true })) as [Store, Store]
    await expect
      .poll(() =>
        writer.read([idOf('a')]).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
    await expect
      .poll(() =>
        hearer.read([idOf('a')]).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true)
    await connected(writer, hearer)
    await server.kill()
    const heard = new Heard(hearer, 'probe')
    await expect(writer.settle([settlement('probe', 'head')])).rejects.toMatchObject({ code: 'store_unavailable' })
    await server.start()
    const told = async (): Promise<number> => {
      await writer.settle([settlement('probe', 'head')]).catch(() => undefined)
      return heard.count
    }
    await expect.poll(told, { timeout: 15_000, interval: 50 }).toBeGreaterThan(0)
    await Promise.all([writer.close(), hearer.close()])
    for (const { end } of [here, there]) await end()
    await server.stop()
  }
}, 60_000)
