/** What only Redis has to show: restarts, replicas, failovers, full memory, forgotten scripts, and what its setup is worth. */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  type RedisServer,
  startRedis,
  startRedisCluster,
  startRedisPair,
  startSentinel,
} from '../../../../scripts/services.mjs'
import { IdempotencyError } from '../../src/core/errors.ts'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { AttemptId } from '../../src/core/record.ts'
import type { ClaimRequest, Settlement, Store } from '../../src/core/store.ts'
import { createIdempotency } from '../../src/platform/idempotency.ts'
import { type RedisStoreOptions, redisStore } from '../../src/stores/redis/index.ts'
import { graceMs } from '../../src/stores/redis/prelude.lua.ts'
import { clusterClients, ofIoredis, ofNodeRedis, openRedis, startOne, startThree } from './redis.ts'

const guide = new URL('../../../../docs/guide/stores-redis.md', import.meta.url)
const closing: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function ask(id: string, attempt: string, over: Partial<ClaimRequest> = {}): ClaimRequest {
  return {
    recordId: id as RecordId,
    attemptId: attempt as AttemptId,
    fingerprint: 'f' as Fingerprint,
    rawFingerprint: '',
    onAbandoned: 'unknown',
    leaseMs: 30_000,
    skewMs: 0,
    retentionMs: 86_400_000,
    tombstoneMs: 0,
    ...over,
  }
}

function completed(id: string, attempt: string, bytes: Uint8Array, offset = 0): Settlement {
  const ids = { recordId: id as RecordId, attemptId: attempt as AttemptId }
  const head = new Uint8Array([1])
  return { ...ids, kind: 'completed', outcome: 'response', head, rest: { offset, bytes }, digest: 'd' }
}

/** Pairs that end at once: a primary waits for its replicas otherwise, and a replica for its first append-only file. */
const inNoTime = { settings: { 'shutdown-timeout': '0', appendonly: 'no' } }

/** A server of this test's own. */
async function server(settings: Record<string, string> = {}): Promise<RedisServer> {
  const started = await startRedis({ settings })
  closing.push(() => started.stop())
  return started
}

/** Clients that are told by a server's URL, as users make them. */
const drivers = {
  ioredis: async (url: string) => ofIoredis(new Redis(url)),
  'node-redis': async (url: string) => ofNodeRedis(createClient({ url })),
}
type Driver = keyof typeof drivers

async function store(url: string, options: RedisStoreOptions = {}, driver: Driver = 'ioredis'): Promise<Store> {
  const { client, end } = await drivers[driver](url)
  closing.push(end)
  return redisStore(client, options)
}

async function refused(call: Promise<unknown>): Promise<IdempotencyError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(IdempotencyError)
  return error as IdempotencyError
}

/** Tries until it works: the driver connects again by itself, a moment after the server is there. */
async function inTheEnd<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 0; ; tries++) {
    try {
      return await call()
    } catch (error) {
      if (tries > 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
}

async function fieldOf(redis: RedisServer, field: string): Promise<string> {
  return new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(await redis.cli('info'))?.[1] ?? ''
}

for (const driver of Object.keys(drivers) as Driver[]) {
  describe(`a fault of the server, by ${driver}`, () => {
    test('a server that has forgotten its scripts is taught them, and every entry is answered', async () => {
      const redis = await server()
      const held = await store(redis.url, {}, driver)
      await held.claim([ask('a', 'one')])
      await redis.cli('script', 'flush')
      const answers = await held.claim(Array.from({ length: 100 }, (_, at) => ask(`id-${at}`, 'one')))
      expect(answers.map(({ kind }) => kind)).toEqual(new Array(100).fill('granted'))
      await redis.cli('script', 'flush')
      const settled = await held.settle([
        completed('a', 'one', Buffer.from('x')),
        completed('id-3', 'one', Buffer.from('y')),
      ])
      expect(settled.map(({ kind }) => kind)).toEqual(['recorded', 'recorded'])
    })

    test('kill -9 of Redis loses nothing that was acknowledged, and the store goes on by itself', async () => {
      const redis = await server()
      const held = await store(redis.url, {}, driver)
      expect(held.capabilities.durability).toBe('none')
      await held.read([])
      await held.read(['x' as RecordId])
      expect(held.capabilities.durability).toBe('disk')
      const acknowledged: string[] = []
      let killed = false
      const work = async (worker: number): Promise<void> => {
        for (let at = 0; !killed; at++) {
          const id = `${worker}-${at}`
          await held.claim([ask(id, 'one')])
          await held.settle([completed(id, 'one', Buffer.from(id))])
          acknowledged.push(id)
        }
      }
      const workers = [1, 2, 3, 4].map((worker) => work(worker).catch(() => {}))
      while (acknowledged.length < 200) await new Promise((resolve) => setTimeout(resolve, 5))
      await redis.kill()
      killed = true
      const before = [...acknowledged]
      await redis.start()
      await Promise.all(workers)
      for (const id of before) {
        const [answer] = await inTheEnd(() => held.claim([ask(id, 'two')]))
        expect(answer?.kind === 'held' && String(answer.body), id).toBe(id)
      }
    })

    test('a connection that Redis closes is made again, and no id is granted twice', async () => {
      const redis = await server()
      const held = await store(redis.url, {}, driver)
      const granted = new Map<string, string>()
      for (let round = 0; round < 20; round++) {
        const attempts = Array.from({ length: 20 }, (_, at) => ask(`id-${at}`, `attempt-${round}-${at}`))
        const claims = inTheEnd(() => held.claim(attempts))
        await redis.cli('client', 'kill', 'type', 'normal', 'skipme', 'yes')
        for (const [at, answer] of (await claims).entries()) {
          if (answer.kind === 'held') continue
          expect(granted.get(`id-${at}`) ?? answer.record.attemptId, 'one owner').toBe(answer.record.attemptId)
          granted.set(`id-${at}`, answer.record.attemptId)
        }
      }
      expect(granted.size).toBe(20)
    })

    test('full memory is a clear refusal that loses nothing, and is over when there is room again', async () => {
      const redis = await server()
      const held = await store(redis.url, {}, driver)
      await held.claim([ask('early', 'one'), ask('running', 'one')])
      await held.settle([completed('early', 'one', Buffer.from('kept'))])
      await redis.cli('config', 'set', 'maxmemory', '1mb')
      const error = await refused(held.claim([ask('late', 'one')]))
      expect([error.code, error.message]).toEqual([
        'store_unavailable',
        expect.stringMatching(/out of memory.*maxmemory/),
      ])
      expect((await held.read(['late' as RecordId]))[0]?.record).toBeUndefined()
      await redis.cli('config', 'set', 'maxmemory', '0')
      const answers = await held.claim([ask('early', 'two'), ask('running', 'two'), ask('late', 'one')])
      expect(answers.map(({ kind }) => kind)).toEqual(['held', 'held', 'granted'])
    })

    test('of two clients that claim the same 200 ids at once, one is granted each', async () => {
      const redis = await server()
      const [a, b] = [await store(redis.url, {}, driver), await store(redis.url, {}, driver)]
      const asks = (who: string): ClaimRequest[] =>
        Array.from({ length: 200 }, (_, at) => ask(`id-${at}`, `${who}-${at}`))
      const both = await Promise.all([a.claim(asks('a')), b.claim(asks('b').reverse())])
      const granted = both.flat().filter(({ kind }) => kind === 'granted')
      expect(granted.length).toBe(200)
      const owners = await a.read(asks('a').map(({ recordId }) => recordId))
      expect(new Set(owners.map(({ record }) => record?.attemptId))).toEqual(
        new Set(granted.map((answer) => answer.record.attemptId)),
      )
    })

    test('a body of 5 MiB, appended in pieces, comes back byte for byte', async () => {
      const redis = await server()
      const held = await store(redis.url, {}, driver)
      const bytes = Buffer.from(
        Uint8Array.from({ length: 5 * 1024 * 1024 }, (_, at) => (at * 31 + (at >> 8) * 7) & 255),
      )
      await held.claim([ask('big', 'one')])
      const piece = 16_384
      for (let from = 0; from < bytes.length - piece; from += 40 * piece) {
        const pieces = Array.from({ length: 40 }, (_, at) => from + at * piece).filter(
          (at) => at < bytes.length - piece,
        )
        const answers = await held.append(
          pieces.map((offset) => ({
            recordId: 'big' as RecordId,
            attemptId: 'one' as AttemptId,
            offset,
            bytes: bytes.subarray(offset, offset + piece),
          })),
        )
        expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['appended']))
      }
      const rest = bytes.length - piece
      await held.settle([completed('big', 'one', bytes.subarray(rest), rest)])
      const found: Uint8Array[] = []
      for (let at = 0; at < bytes.length; ) {
        for (const part of await held.readBody('big' as RecordId, 'one' as AttemptId, at)) {
          found.push(part)
          at += part.length
        }
      }
      expect(Buffer.concat(found).equals(bytes)).toBe(true)
    })

    test('whatever bytes a body has, text or not, come back as they were', async () => {
      const redis = await server()
      const held = await store(redis.url, {}, driver)
      const bodies = ['\ufeffwith a mark', 'é, 😀, \0 and \r\n$5\r\n*1\r\n', 'plain'].map((text) => Buffer.from(text))
      bodies.push(Buffer.from([0xff, 0xfe, 0, 0xc3]), Buffer.from([0xed, 0xa0, 0x80]), Buffer.alloc(40_000, 'ü'))
      for (const [at, body] of bodies.entries()) {
        await held.claim([ask(`id-${at}`, 'one')])
        await held.settle([{ ...completed(`id-${at}`, 'one', body), head: body } as Settlement])
        const [answer] = await held.claim([ask(`id-${at}`, 'two')])
        expect(
          answer?.kind === 'held' && [answer.body, answer.record.head].map((one) => body.equals(one ?? Buffer.of())),
        ).toEqual([true, true])
      }
    })

    test('no error shows a password', async () => {
      const redis = await server({ requirepass: 'hunter2-of-redis' })
      const right = await store(redis.url, {}, driver)
      expect((await right.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
      const wrong = redis.url.replace('hunter2-of-redis', 'another-secret')
      const errors: unknown[] = []
      if (driver === 'ioredis') {
        const client = new Redis(wrong, { retryStrategy: () => null })
        client.on('error', () => {})
        closing.push(() => client.disconnect())
        errors.push(await refused(redisStore(client).claim([ask('a', 'two')])))
      }
      await redis.cli('config', 'set', 'maxmemory', '1')
      errors.push(await refused(right.claim([ask('b', 'hush-attempt')])))
      for (const error of errors) {
        const shown = inspect(error, { depth: 10, showHidden: true })
        for (const secret of ['hunter2-of-redis', 'another-secret', 'hush-attempt']) expect(shown).not.toContain(secret)
      }
    })
  })
}

describe('a setup that would break the promise', () => {
  test.each(['allkeys-lru', 'volatile-ttl'])(
    'maxmemory-policy %s is refused, and the store goes on once it is right',
    async (policy) => {
      const redis = await server({ 'maxmemory-policy': policy })
      const held = await store(redis.url)
      const error = await refused(held.claim([ask('a', 'one')]))
      expect([error.code, error.message]).toEqual([
        'store_unavailable',
        expect.stringMatching(new RegExp(`noeviction.*maxmemory-policy ${policy}`)),
      ])
      await redis.cli('config', 'set', 'maxmemory-policy', 'noeviction')
      expect((await held.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
    },
  )

  test('an evicting policy passes by the ugly option, and is still told of', async () => {
    const redis = await server({ 'maxmemory-policy': 'allkeys-lru' })
    const held = await store(redis.url, { dangerouslyAllowEviction: true })
    expect((await held.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
    expect((await held.diagnose()).find(({ check }) => check === 'eviction')?.level).toBe('weaker')
  })

  test('where CONFIG is forbidden INFO tells the policy, and appendfsync counts as not known', async () => {
    const redis = await server({ 'maxmemory-policy': 'allkeys-lru', 'rename-command': 'CONFIG ""' })
    expect((await refused((await store(redis.url)).claim([ask('a', 'one')]))).message).toMatch(/allkeys-lru/)
    const held = await store(redis.url, { dangerouslyAllowEviction: true })
    await held.claim([ask('a', 'one')])
    expect(held.capabilities.durability).toBe('process')
    const found = (await held.diagnose()).find(({ check }) => check === 'durability')
    expect([found?.level, found?.found]).toEqual(['weaker', 'appendonly yes, appendfsync unknown'])
  })

  test('a user without the right to run scripts is told so', async () => {
    const redis = await server()
    await redis.cli('acl', 'setuser', 'reader', 'on', '>pw', '~*', '+@read', '+info', '+ping')
    const held = await store(`redis://reader:pw@127.0.0.1:${redis.port}`)
    expect((await refused(held.claim([ask('a', 'one')]))).message).toMatch(/does not allow this user/)
    expect((await held.diagnose()).find(({ check }) => check === 'privileges')?.level).toBe('broken')
  })

  test('the rights that the guide names are enough', async () => {
    const redis = await server()
    const named = /needs the commands of\n`([^`]+)`, on `([^`]+)`/.exec(readFileSync(guide, 'utf8'))
    const rights = [...(named?.[1] ?? '').split(' '), named?.[2] ?? '']
    expect(rights.length).toBeGreaterThan(5)
    await redis.cli('acl', 'setuser', 'store', 'on', '>pw', ...rights)
    for (const driver of Object.keys(drivers) as Driver[]) {
      const held = await store(`redis://store:pw@127.0.0.1:${redis.port}`, {}, driver)
      const id = `of-${driver}`
      await held.claim([ask(id, 'one')])
      await held.append([
        { recordId: id as RecordId, attemptId: 'one' as AttemptId, offset: 0, bytes: Buffer.from('a') },
      ])
      await held.settle([completed(id, 'one', Buffer.from('b'), 1)])
      expect(String(await held.readBody(id as RecordId, 'one' as AttemptId, 0))).toBe('ab')
      await held.keyless([{ listId: 'l', kind: 'enter', recordId: id as RecordId, count: 0, windowMs: 1_000 }])
      await held.meta('pepper', Buffer.from('p'))
      await held.sweep(10, 0)
      await held.scan(undefined, { limit: 10 })
      expect((await held.diagnose()).find(({ check }) => check === 'privileges')?.level).toBe('good')
    }
  })

  test('a client that renames keys is refused', () => {
    const client = new Redis({ lazyConnect: true, keyPrefix: 'mine:' })
    expect(() => redisStore(client)).toThrow(/keyPrefix/)
    expect(() => redisStore({} as never)).toThrow(/ioredis/)
  })

  test.each([
    [{ appendonly: 'no' }, 'none', 'weaker'],
    [{ appendfsync: 'everysec' }, 'process', 'weaker'],
    [{ appendfsync: 'no' }, 'process', 'weaker'],
    [{ appendfsync: 'always' }, 'disk', 'good'],
  ] as const)('%j is worth %s', async (settings, durability, level) => {
    const redis = await server(settings)
    for (const driver of Object.keys(drivers) as Driver[]) {
      const held = await store(redis.url, {}, driver)
      await held.claim([ask('a', 'one')])
      expect(held.capabilities.durability).toBe(durability)
      const findings = await held.diagnose()
      expect(findings.map(({ check }) => check)).toEqual([
        'version',
        'durability',
        'eviction',
        'replicas',
        'privileges',
      ])
      expect(findings.map((finding) => finding.level)).toEqual(['good', level, 'good', 'good', 'good'])
    }
  })
})

describe('replicas', () => {
  test('a replica is refused, and so are calls on a primary that became one', async () => {
    const pair = await startRedisPair(inNoTime)
    closing.push(() => pair.stop())
    const onReplica = await store(pair.replica.url)
    expect((await refused(onReplica.claim([ask('a', 'one')]))).message).toMatch(/replica takes no writes/)
    const held = await store(pair.primary.url)
    await held.claim([ask('a', 'one')])
    await pair.replica.cli('replicaof', 'no', 'one')
    await pair.primary.cli('replicaof', '127.0.0.1', String(pair.replica.port))
    expect((await refused(held.claim([ask('b', 'one')]))).message).toMatch(/replica that takes no writes/)
  })

  test.each(Object.keys(drivers) as Driver[])(
    'with waitReplicas a write that no replica has is not acknowledged, and found when it is asked again (%s)',
    async (driver) => {
      const pair = await startRedisPair(inNoTime)
      closing.push(() => pair.stop())
      const options = { waitReplicas: 1, waitReplicasMs: 500 }
      const held = await store(pair.primary.url, options, driver)
      const [first] = await inTheEnd(() => held.claim([ask('a', 'one')]))
      expect(['granted', 'yours']).toContain(first?.kind)
      expect(held.capabilities.durability).toBe('replicated')
      pair.replica.signal('SIGSTOP')
      const error = await refused(held.claim([ask('b', 'one')]))
      expect([error.code, error.message]).toEqual(['store_unavailable', expect.stringMatching(/Only 0 of 1 replicas/)])
      await refused(held.settle([completed('a', 'one', Buffer.from('x'))]))
      // The policy that loses nothing by running again waits for nobody.
      expect((await held.claim([ask('c', 'one', { onAbandoned: 'reexecute' })]))[0]?.kind).toBe('granted')
      pair.replica.signal('SIGCONT')
      expect((await inTheEnd(() => held.claim([ask('b', 'one')])))[0]?.kind).toBe('yours')
      expect((await inTheEnd(() => held.settle([completed('a', 'one', Buffer.from('x'))])))[0]?.kind).toBe('already')
      const [seen] = await held.read(['a' as RecordId])
      expect(seen?.record?.state).toBe('completed')
    },
  )

  test('a failover by Sentinel loses nothing that waitReplicas acknowledged, and the store follows it', async () => {
    const pair = await startRedisPair(inNoTime)
    closing.push(() => pair.stop())
    const sentinel = await startSentinel(pair)
    closing.push(() => sentinel.stop())
    const io = new Redis({ sentinels: [...sentinel.hosts], name: sentinel.master })
    const node = createSentinel({ name: sentinel.master, sentinelRootNodes: [...sentinel.hosts] })
    node.on('error', () => {})
    await node.connect()
    closing.push(ofIoredis(io).end, () => node.destroy())
    const stores = [redisStore(io, { waitReplicas: 1 }), redisStore(node, { waitReplicas: 1 })]
    for (const [at, held] of stores.entries()) {
      await held.claim([ask(`done-${at}`, 'one'), ask(`running-${at}`, 'one')])
      await held.settle([completed(`done-${at}`, 'one', Buffer.from('kept'))])
    }
    await pair.primary.kill()
    for (const [at, held] of stores.entries()) {
      const found = await inTheEnd(() => held.read([`done-${at}`, `running-${at}`] as RecordId[]))
      expect(found.map(({ record }) => record?.state)).toEqual(['completed', 'running'])
      // Without a replica the new primary may acknowledge nothing.
      expect((await refused(held.claim([ask(`new-${at}`, 'one')]))).message).toMatch(/Only 0 of 1 replicas/)
    }
  }, 60_000)

  test('in a cluster every primary must have its replicas', async () => {
    const cluster = await startRedisCluster(inNoTime)
    closing.push(() => cluster.stop())
    const rootNodes = cluster.nodes.map(({ url }) => ({ url }))
    const node = createCluster({ rootNodes })
    const io = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
    const both = [await ofIoredis(io), await ofNodeRedis(node)]
    closing.push(...both.map(({ end }) => end))
    const stores = both.map(({ client }) => redisStore(client, { waitReplicas: 1, waitReplicasMs: 500 }))
    const asks = (who: string): ClaimRequest[] => Array.from({ length: 30 }, (_, at) => ask(`${who}-${at}`, 'one'))
    for (const [at, held] of stores.entries()) {
      const answers = await inTheEnd(() => held.claim(asks(`store-${at}`)))
      expect(answers.every(({ kind }) => kind === 'granted' || kind === 'yours')).toBe(true)
    }
    const replicas = await Promise.all(cluster.nodes.map((one) => fieldOf(one, 'role')))
    cluster.nodes[replicas.indexOf('slave')]?.signal('SIGSTOP')
    for (const [at, held] of stores.entries()) {
      expect((await refused(held.claim(asks(`late-${at}`)))).message).toMatch(/Only 0 of 1 replicas/)
    }
    cluster.nodes[replicas.indexOf('slave')]?.signal('SIGCONT')
  }, 120_000)

  test('a failover without waitReplicas is told of as a limit', async () => {
    const pair = await startRedisPair(inNoTime)
    closing.push(() => pair.stop())
    const found = (await (await store(pair.primary.url)).diagnose()).find(({ check }) => check === 'replicas')
    expect([found?.level, found?.found]).toEqual(['weaker', '1 connected replicas, waitReplicas 0'])
  })
})

describe('what is written', () => {
  test('a replay, and a claim of what is running, write nothing', async () => {
    const redis = await server()
    const held = await store(redis.url)
    const idempotency = createIdempotency({ store: held, onAbandoned: 'unknown' })
    closing.push(() => idempotency.close())
    const run = (): Promise<string> => idempotency.run({ key: 'k', input: 1 }, () => 'value')
    await run()
    await held.claim([ask('running', 'one')])
    const written = async (): Promise<string[]> => [
      await fieldOf(redis, 'rdb_changes_since_last_save'),
      await fieldOf(redis, 'aof_current_size'),
    ]
    const before = await written()
    for (let times = 0; times < 50; times++) expect(await run()).toBe('value')
    for (let times = 0; times < 50; times++) await held.claim([ask('running', `two-${times}`)])
    await held.read(['running' as RecordId])
    expect(await written()).toEqual(before)
    // The control: a claim that is granted is seen there.
    await held.claim([ask('another', 'one')])
    expect(await written()).not.toEqual(before)
  })

  test('a scan shows every record, also while Redis rearranges its tables', async () => {
    const redis = await server({ appendonly: 'no' })
    const held = await store(redis.url)
    for (let round = 0; round < 10; round++) {
      await redis.cli('flushall')
      const ids = Array.from({ length: 50 + 40 * round }, (_, at) => `id-${round}-${at}`)
      await held.claim(ids.map((id) => ask(id, 'one')))
      const found: string[] = []
      let cursor: string | undefined
      do {
        const page = await held.scan(cursor, { limit: 7 })
        expect(page.entries.length).toBeLessThanOrEqual(7)
        found.push(...page.entries.map(({ recordId }) => recordId))
        cursor = page.cursor
      } while (cursor !== undefined)
      expect([...new Set(found)].sort()).toEqual([...ids].sort())
    }
  })

  test('one store does not see another’s records under another prefix', async () => {
    const redis = await server()
    const [a, b, odd] = [
      await store(redis.url, { prefix: 'a:' }),
      await store(redis.url),
      await store(redis.url, { prefix: '[a*]?:' }),
    ]
    for (const held of [a, b, odd]) expect((await held.claim([ask('same', 'one')]))[0]?.kind).toBe('granted')
    for (const held of [a, b, odd]) expect((await held.scan(undefined, { limit: 10 })).entries.length).toBe(1)
    await a.close()
    await refused(a.claim([ask('same', 'one')]))
    expect((await b.claim([ask('same', 'one')]))[0]?.kind).toBe('yours')
  })

  test('what no sweeper comes for Redis removes by itself, body and all; what runs stays', async () => {
    const servers = await startOne()
    closing.push(() => servers.stop())
    const opened = await openRedis(servers, async ({ nodes: [node] }) => ofIoredis(new Redis(node?.port ?? 0)))
    closing.push(() => opened.close())
    const [node] = servers.nodes
    const { store: held } = opened
    await held.claim([ask('done', 'one', { retentionMs: 60_000 }), ask('running', 'one', { retentionMs: 60_000 })])
    await held.append([
      { recordId: 'done' as RecordId, attemptId: 'one' as AttemptId, offset: 0, bytes: Buffer.from('piece') },
    ])
    await held.settle([completed('done', 'one', Buffer.from('!'), 5)])
    const there = async (): Promise<string[]> =>
      ((await node?.cli('keys', 'ok:{*')) ?? '').split('\n').filter(Boolean).sort()
    expect(await there()).toEqual(['ok:{done}', 'ok:{done}:c', 'ok:{running}'])
    await servers.advance(60_000 + graceMs - 1_000)
    expect(await there()).toEqual(['ok:{done}', 'ok:{done}:c', 'ok:{running}'])
    await servers.advance(2_000)
    expect(await there()).toEqual(['ok:{running}'])
    // A record that runs again has no time to live left over from before.
    await held.settle([
      {
        recordId: 'running' as RecordId,
        attemptId: 'one' as AttemptId,
        kind: 'released',
        retryAfterMs: 0,
        digest: 'r',
      },
    ])
    await held.claim([ask('running', 'two')])
    expect((await node?.cli('ttl', 'ok:{running}'))?.trim()).toBe('-1')
  })

  test('a body whose bytes somebody took away is not answered as if it were whole', async () => {
    const redis = await server()
    const held = await store(redis.url)
    await held.claim([ask('a', 'one')])
    await held.append([
      { recordId: 'a' as RecordId, attemptId: 'one' as AttemptId, offset: 0, bytes: Buffer.from('0123456789') },
    ])
    await held.settle([completed('a', 'one', Buffer.from('!'), 10)])
    await redis.cli('del', 'ok:{a}:c')
    const [answer] = await held.claim([ask('a', 'two')])
    expect([answer?.kind, answer !== undefined && 'body' in answer]).toEqual(['held', false])
    await refused(held.readBody('a' as RecordId, 'one' as AttemptId, 0))
  })
})

describe('a cluster', () => {
  let servers: Awaited<ReturnType<typeof startThree>>
  beforeAll(async () => {
    servers = await startThree()
  }, 60_000)
  afterAll(() => servers.stop())

  test.each(Object.entries(clusterClients))(
    'a slot that moves to another primary takes its records along (%s)',
    async (_, connect) => {
      const opened = await openRedis(servers, connect)
      closing.push(() => opened.close())
      const { store: held } = opened
      const ids = Array.from({ length: 60 }, (_, at) => `id-${at}`)
      await held.claim(ids.map((id) => ask(id, 'one')))
      const slot = (await servers.nodes[0]?.cli('cluster', 'keyslot', 'ok:{id-0}'))?.trim() ?? ''
      await moveSlot(servers.nodes, slot)
      const settled = await held.settle(ids.map((id) => completed(id, 'one', Buffer.from(id))))
      expect(new Set(settled.map(({ kind }) => kind))).toEqual(new Set(['recorded']))
      const answers = await held.claim(ids.map((id) => ask(id, 'two')))
      expect(answers.map((answer) => answer.kind === 'held' && String(answer.body))).toEqual(ids)
    },
  )
})

/** Moves a slot from whoever has it to another primary, keys and all, as a resharding does. */
async function moveSlot(nodes: readonly RedisServer[], slot: string): Promise<void> {
  const idOf = async (node: RedisServer): Promise<string> => (await node.cli('cluster', 'myid')).trim()
  const keysIn = async (node: RedisServer): Promise<string[]> =>
    (await node.cli('cluster', 'getkeysinslot', slot, '100')).split('\n').filter(Boolean)
  let source: RedisServer | undefined
  for (const node of nodes) if ((await keysIn(node)).length > 0) source = node
  const target = nodes.find((node) => node !== source)
  if (source === undefined || target === undefined) throw new Error('no primary has the slot')
  await target.cli('cluster', 'setslot', slot, 'importing', await idOf(source))
  await source.cli('cluster', 'setslot', slot, 'migrating', await idOf(target))
  await source.cli('migrate', target.host, String(target.port), '', '0', '5000', 'keys', ...(await keysIn(source)))
  for (const node of nodes) await node.cli('cluster', 'setslot', slot, 'node', await idOf(target))
}

describe('steps in the record’s hash', () => {
  test('stay for the next attempt without a time to live, and leave nothing behind an outcome', async () => {
    const { url } = await server()
    const redis = new Redis(url)
    closing.push(() => redis.disconnect())
    const kept = await store(url)
    const step = (attempt: string, name: string): Settlement => {
      const ids = { recordId: 'a' as RecordId, attemptId: attempt as AttemptId }
      return { ...ids, kind: 'step', name, value: Buffer.from('v') }
    }
    const fields = async () => (await redis.hkeys('ok:{a}')).filter((name) => name.startsWith('s:')).sort()
    await kept.claim([ask('a', 'one')])
    await kept.settle([step('one', 'x'), step('one', 'y')])
    await kept.settle([
      { recordId: 'a' as RecordId, attemptId: 'one' as AttemptId, kind: 'released', retryAfterMs: 0, digest: 'd' },
    ])
    expect(await redis.pttl('ok:{a}')).toBeGreaterThan(0)
    await kept.claim([ask('a', 'two')])
    // A running record never vanishes by age (S15), and its steps are in it.
    expect(await redis.pttl('ok:{a}')).toBe(-1)
    expect(await fields()).toEqual(['s:x', 's:y'])
    await kept.settle([completed('a', 'two', Buffer.from('done'))])
    expect(await fields()).toEqual([])
  })
})
