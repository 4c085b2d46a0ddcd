/** Gateways on Redis and PostgreSQL: what they say at their start, what `doctor` finds, and what a lost store does. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type PostgresServer,
  type RedisServer,
  startPgBouncer,
  startPostgres,
  startRedis,
  startRedisCluster,
  startRedisPair,
  startSentinel,
  startStandby,
} from '../../../scripts/services.mjs'
import { ensureProgram } from '../../../scripts/tools.mjs'
import type { Diagnosis } from '../src/operate/index.ts'
import { freshKey, type ScriptedUpstream, send, startGateway, startUpstream } from './harness.ts'
import { oncekey } from './stores.ts'

let upstream: ScriptedUpstream
let redis: RedisServer
let postgres: PostgresServer
const cleanups: (() => Promise<void>)[] = []
beforeAll(async () => {
  upstream = await startUpstream()
  redis = kept(await startRedis())
  postgres = kept(await startPostgres())
})
afterAll(async () => {
  upstream.close()
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** Stops it at the end. */
function kept<Thing extends { stop(): Promise<void> }>(thing: Thing): Thing {
  cleanups.push(() => thing.stop())
  return thing
}

async function doctor(url: string, ...args: string[]) {
  const ran = await oncekey(['doctor', '--store', url, '--json', ...args])
  return { ...ran, found: JSON.parse(ran.stdout) as Diagnosis }
}

/** Executes once and replays, on a gateway that is stopped again. */
async function works(url: string, ...flags: string[]): Promise<void> {
  const gateway = await startGateway(upstream, ['--store', url, ...flags])
  const key = freshKey()
  expect([(await send(gateway, { key })).how, (await send(gateway, { key })).how]).toEqual(['executed', 'replayed'])
  gateway.signal('SIGTERM')
  expect((await gateway.exited).code).toBe(0)
}

describe('a gateway works on', () => {
  test('one Redis, in a database and under a prefix of its own', async () => {
    await works(redis.url)
    await works(`${redis.url}/3?prefix=mine:`)
    expect(await redis.cli('-n', '3', 'keys', '*')).toMatch(/^mine:/m)
  })
  test('a Redis with a password', async () => {
    await works(kept(await startRedis({ settings: { requirepass: 'p@ss/word' } })).url)
  })
  test('a Redis cluster', async () => works(kept(await startRedisCluster()).url))
  test('what Sentinel names, with a replica that acknowledges', async () => {
    const sentinel = kept(await startSentinel(kept(await startRedisPair())))
    await works(`${sentinel.url}?waitReplicas=1`)
    const { code, found } = await doctor(`${sentinel.url}?waitReplicas=1`, '--level', 'replicated')
    expect([code, found.durability]).toEqual([0, 'replicated'])
  })
  test('PostgreSQL, whose schema it makes, and in another schema', async () => {
    await works(postgres.url)
    await works(`${postgres.url}?schema=another`)
  })
  test('PostgreSQL behind PgBouncer', async () => works(kept(await startPgBouncer(postgres)).url))
})

test('rediss:// speaks TLS to a server whose authority this machine trusts, and to no other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'oncekey-tls-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', ...subject]
  execFileSync(ensureProgram('openssl'), made, { stdio: 'ignore' })
  const port = await freePort()
  const files = { 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert }
  kept(await startRedis({ settings: { 'tls-port': String(port), 'tls-auth-clients': 'no', ...files } }))
  const asked = ['doctor', '--store', `rediss://localhost:${port}`]
  const [trusting, other] = [await oncekey(asked, { NODE_EXTRA_CA_CERTS: cert }), await oncekey(asked)]
  rmSync(folder, { recursive: true })
  expect([trusting.code, trusting.stderr]).toEqual([0, ''])
  expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('NODE_EXTRA_CA_CERTS')])
})

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

test('a store that dies and comes back takes no gateway with it', async () => {
  const own = { redis: kept(await startRedis()), postgres: kept(await startPostgres()) }
  for (const server of Object.values(own)) {
    const gateway = await startGateway(upstream, ['--store', server.url])
    const key = freshKey()
    await send(gateway, { key })
    await server.kill()
    const refused = await send(gateway, { key: freshKey() })
    expect([server.name, refused.status, refused.json['code']]).toEqual([server.name, 503, 'store_unavailable'])
    await server.start()
    let answer = await send(gateway, { key })
    // The driver connects again in its own time, a second at most.
    for (let tries = 0; answer.status === 503 && tries < 5; tries++) answer = await send(gateway, { key })
    expect([server.name, answer.how]).toEqual([server.name, 'replayed'])
    await gateway.kill()
  }
})

test('with --fail-open a request runs unprotected while the store is away, says so, and is protected again afterwards', async () => {
  const own = { redis: kept(await startRedis()), postgres: kept(await startPostgres()) }
  for (const server of Object.values(own)) {
    upstream.reset()
    const gateway = await startGateway(upstream, ['--store', server.url, '--fail-open'])
    await server.kill()
    const key = freshKey()
    const [once, twice] = [await send(gateway, { key }), await send(gateway, { key })]
    expect([server.name, once.status, once.how, twice.how]).toEqual([server.name, 200, 'bypassed', 'bypassed'])
    expect([server.name, upstream.calls.length]).toEqual([server.name, 2])
    await server.start()
    await expect.poll(async () => (await send(gateway, { key: freshKey() })).how, { timeout: 20_000 }).toBe('executed')
    const again = freshKey()
    expect([(await send(gateway, { key: again })).how, (await send(gateway, { key: again })).how]).toEqual([
      'executed',
      'replayed',
    ])
    await gateway.kill()
  }
}, 90_000)

describe('one sentence, exit code 1 and no password for', () => {
  async function sentence(url: string, ...args: string[]): Promise<string> {
    const answer = await oncekey(['gateway', '--upstream', upstream.url, '--port', '0', '--store', url, ...args])
    const said = answer.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'))
    expect([answer.stderr, said.length, answer.code, answer.stdout]).toEqual([answer.stderr, 1, 1, ''])
    expect(answer.stderr).not.toContain('hunter2')
    return said[0] as string
  }

  test('a server that is not there', async () => {
    for (const url of ['redis://:hunter2@127.0.0.1:1', 'postgres://u:hunter2@127.0.0.1:1/d'])
      expect(await sentence(url)).toMatch(/127\.0\.0\.1:1.*ECONNREFUSED.*host and port/)
  })
  test('a Redis that wants a password, and one that wants another', async () => {
    const locked = kept(await startRedis({ settings: { requirepass: 'right' } }))
    expect(await sentence(`redis://127.0.0.1:${locked.port}`)).toMatch(/asks for a password.*redis:\/\/:PASSWORD@HOST/)
    expect(await sentence(`redis://:hunter2@127.0.0.1:${locked.port}`)).toMatch(/refused the user or password/)
  })
  test('a Redis that has no such database, is no cluster, or speaks no TLS', async () => {
    expect(await sentence(`${redis.url}/99`)).toMatch(/no database 99/)
    expect(await sentence(redis.url.replace('redis:', 'redis+cluster:'))).toMatch(/is not a cluster/)
    expect(await sentence(redis.url.replace('redis:', 'rediss:'))).toMatch(/TLS/)
  })
  test('a Redis that forgets when its memory is full', async () => {
    const evicting = kept(await startRedis({ settings: { 'maxmemory-policy': 'allkeys-lru' } }))
    expect(await sentence(evicting.url)).toMatch(/maxmemory-policy noeviction/)
  })
  test('a PostgreSQL that has no such database, or speaks no TLS', async () => {
    expect(await sentence(postgres.url.replace(/\w+$/, 'nowhere'))).toMatch(/no such database/)
    expect(await sentence(`${postgres.url}?sslmode=verify-full`)).toMatch(/speaks no TLS/)
  })
  test('a role that may not make the schema, which names the role that may', async () => {
    const fresh = kept(await startPostgres())
    const admin = new pg.Client(fresh.url)
    await admin.connect()
    await admin.query('CREATE ROLE app LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC')
    await admin.end()
    const url = fresh.url.replace('postgres@', 'app@')
    expect(await sentence(url)).toMatch(/role app may not.*oncekey migrate.*role postgres.*--no-migrate/)
    expect(await sentence(url, '--no-migrate')).toMatch(/schema "oncekey" is not there/)
    const refused = await oncekey(['migrate', '--store', url])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/role app may not/)])
  })
})

describe('migrate', () => {
  test('makes the schema once, may be repeated, and then a gateway needs not to', async () => {
    const url = `${postgres.url}?schema=made`
    for (let times = 0; times < 2; times++) {
      const { code, stdout, stderr } = await oncekey(['migrate', '--store', url])
      expect([code, stdout, stderr]).toEqual([0, `The schema made of ${url} is up to date.\n`, ''])
    }
    await works(url, '--no-migrate')
    const { stdout } = await oncekey(['migrate', '--store', postgres.url, '--schema', 'other'])
    expect(stdout).toContain('The schema other of')
    await works(`${postgres.url}?schema=other`, '--no-migrate')
  })
})

describe('doctor', () => {
  test('is content with a durable store, and says what it survives', async () => {
    await oncekey(['migrate', '--store', postgres.url])
    for (const { url, name } of [redis, postgres]) {
      const { code, found } = await doctor(url)
      expect([name, code, found.durability, found.holds]).toEqual([name, 0, 'disk', true])
      expect(found.survives.map(({ kept }) => kept)).toEqual([true, true, false])
      expect(found.roundTrip?.medianMs).toBeLessThan(100)
      expect(Math.abs(found.clockSkewMs ?? Number.NaN)).toBeLessThan(200)
    }
  })
  test('demands what it is told to demand', async () => {
    const { code, found } = await doctor(redis.url, '--level', 'replicated')
    expect([code, found.holds, found.demanded]).toEqual([1, false, 'replicated'])
    const everysec = kept(await startRedis({ settings: { appendfsync: 'everysec' } }))
    expect((await doctor(everysec.url)).code).toBe(1)
    expect((await doctor(everysec.url, '--level', 'process')).code).toBe(0)
  })
  test('fails on an evicting Redis and on a standby, whatever is demanded', async () => {
    const evicting = kept(await startRedis({ settings: { 'maxmemory-policy': 'volatile-lru' } }))
    const standby = kept(await startStandby(postgres))
    for (const { url } of [evicting, standby]) {
      const { code, found } = await doctor(url, '--level', 'process')
      expect([url, code, found.holds]).toEqual([url, 1, false])
      expect(found.findings.some(({ level }) => level === 'broken')).toBe(true)
      expect(found.refused).toBeTypeOf('string')
    }
  })
  test('sees that the clock of the store is another one', async () => {
    const redisAhead = kept(await startRedis({ clock: true }))
    await redisAhead.advance(90_000)
    const postgresBehind = kept(await startPostgres({ clock: true }))
    await oncekey(['migrate', '--store', postgresBehind.url])
    await postgresBehind.stepWall(-60_000)
    expect(Math.abs(((await doctor(redisAhead.url)).found.clockSkewMs ?? 0) - 90_000)).toBeLessThan(1_000)
    expect(Math.abs(((await doctor(postgresBehind.url)).found.clockSkewMs ?? 0) + 60_000)).toBeLessThan(1_000)
  })
  test('prints a page that people can read', async () => {
    const { code, stdout } = await oncekey(['doctor', '--store', redis.url])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^round trip +[\d.]+ ms, median of 20 reads/m)
    expect(stdout).toMatch(/^good +durability: appendonly yes, appendfsync always$/m)
    expect(stdout).toMatch(/^LOST +when the machine is lost: /m)
    expect(stdout).toMatch(/holds what was demanded \(--level disk\)\.\n$/)
  })
})
