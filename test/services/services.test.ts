/** The private servers that tests, benches and people use: real ones, on ports of their own, that never outlive their owner. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import {
  listServices,
  startNats,
  startNginx,
  startPgBouncer,
  startPostgres,
  startRabbitmq,
  startRedis,
  startRedisCluster,
  startRedisPair,
  startSentinel,
  startStandby,
} from '../../scripts/services.mjs'

const cleanups: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** Stops it after the last test at the latest. */
function kept<Thing extends { stop(): Promise<void> }>(thing: Thing): Thing {
  cleanups.push(() => thing.stop())
  return thing
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** The rows of one statement, each column as text. */
async function ask(url: string, sql: string): Promise<string[][]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query({ text: sql, rowMode: 'array', types: { getTypeParser: () => String } })).rows
  } finally {
    await client.end()
  }
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it did not come about within 10 s')
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('redis', () => {
  test('starts durable, keeps its data over a kill, and leaves neither port nor folder when it stops', async () => {
    const redis = kept(await startRedis())
    expect(redis.name).toBe('redis')
    expect(redis.version).toMatch(/^\d+\.\d+/)
    expect(redis.url).toBe(`redis://127.0.0.1:${redis.port}`)
    expect(await redis.cli('config', 'get', 'appendfsync')).toContain('always')
    expect(await redis.cli('config', 'get', 'maxmemory-policy')).toContain('noeviction')
    await redis.cli('set', 'name', 'value')
    const before = redis.pid
    await redis.kill()
    expect(redis.pid).toBeUndefined()
    expect(await accepts(redis.port)).toBe(false)
    await redis.start()
    expect(redis.pid).not.toBe(before)
    expect(await redis.cli('get', 'name')).toBe('value\n')
    await redis.stop()
    expect(await accepts(redis.port)).toBe(false)
    expect(existsSync(redis.folder)).toBe(false)
  })

  test('takes settings, a password among them, and says what it refused', async () => {
    const redis = kept(await startRedis({ settings: { appendfsync: 'no', requirepass: 'p:w' } }))
    expect(redis.url).toBe(`redis://:p%3Aw@127.0.0.1:${redis.port}`)
    expect(await redis.cli('config', 'get', 'appendfsync')).toContain('no')
    await expect(startRedis({ settings: { appendfsync: 'sometimes' } })).rejects.toThrow(
      /redis did not start:[\s\S]*appendfsync/,
    )
  })

  test('two at once have their own ports and data', async () => {
    const [one, other] = await Promise.all([startRedis(), startRedis()])
    kept(one)
    kept(other)
    await one.cli('set', 'name', 'one')
    expect(other.port).not.toBe(one.port)
    expect(await other.cli('get', 'name')).toBe('\n')
  })

  test('a stopped one answers nothing, and goes on where it was', async () => {
    const redis = kept(await startRedis())
    redis.signal('SIGSTOP')
    const answer = redis.cli('ping')
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 200, 'silence'))])
    expect(first).toBe('silence')
    redis.signal('SIGCONT')
    expect(await answer).toBe('PONG\n')
  })

  test('its clock moves, forth and back, and keys expire by it', async () => {
    const redis = kept(await startRedis({ clock: true }))
    const aheadMs = async () => {
      const [seconds, micros] = (await redis.cli('time')).split('\n').map(Number)
      return seconds! * 1000 + micros! / 1000 - Date.now()
    }
    expect(Math.abs(await aheadMs())).toBeLessThan(100)
    await redis.cli('set', 'name', 'value', 'PX', '10000')
    await redis.advance(9_000)
    expect(Math.abs((await aheadMs()) - 9_000)).toBeLessThan(100)
    expect(await redis.cli('get', 'name')).toBe('value\n')
    await redis.advance(1_100)
    expect(await redis.cli('get', 'name')).toBe('\n')
    await redis.stepWall(-3_600_000)
    expect(Math.abs((await aheadMs()) + 3_589_900)).toBeLessThan(100)
    await redis.kill()
    await redis.start()
    expect(Math.abs((await aheadMs()) + 3_589_900)).toBeLessThan(100)
  })

  test('a pair replicates, and a sentinel over it fails over', async () => {
    const pair = kept(await startRedisPair())
    const sentinel = kept(await startSentinel(pair))
    await pair.primary.cli('set', 'name', 'value')
    await until(async () => (await pair.replica.cli('get', 'name')) === 'value\n')
    expect(sentinel.hosts).toHaveLength(1)
    await pair.primary.kill()
    await until(async () => /role:master/.test(await pair.replica.cli('info', 'replication').catch(() => '')))
    expect(await pair.replica.cli('get', 'name')).toBe('value\n')
  })

  test('a cluster of six shares out the slots, and each node knows it', async () => {
    const cluster = kept(await startRedisCluster())
    expect(cluster.nodes).toHaveLength(6)
    expect(cluster.url).toBe(`redis+cluster://${cluster.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`)
    for (const node of cluster.nodes) {
      expect(await node.cli('cluster', 'info')).toMatch(
        /cluster_state:ok[\s\S]*cluster_slots_assigned:16384[\s\S]*cluster_size:3/,
      )
    }
    await cluster.nodes[0]!.cli('-c', 'set', 'name', 'value')
    expect(await cluster.nodes[3]!.cli('-c', 'get', 'name')).toBe('value\n')
  })
})

describe.each(['of this system', '18'])('postgres %s', (which) => {
  const options = which === '18' ? { version: which } : {}

  test('starts, keeps what it committed over a kill of all its processes, and stops without a trace', async () => {
    const postgres = kept(await startPostgres(options))
    expect(postgres.version).toMatch(which === '18' ? /^18\./ : /^\d+\.\d+$/)
    expect(postgres.url).toBe(`postgres://postgres@127.0.0.1:${postgres.port}/postgres`)
    await ask(postgres.url, 'CREATE TABLE words AS SELECT 1 AS word')
    await postgres.kill()
    expect(await accepts(postgres.port)).toBe(false)
    await postgres.start()
    expect(await ask(postgres.url, 'SELECT word FROM words')).toEqual([['1']])
    await postgres.stop()
    expect(await accepts(postgres.port)).toBe(false)
    expect(existsSync(postgres.folder)).toBe(false)
  })

  test('takes settings', async () => {
    const settings = { synchronous_commit: 'off', max_connections: '17' }
    const postgres = kept(await startPostgres({ ...options, settings }))
    expect(await ask(postgres.url, 'SHOW synchronous_commit')).toEqual([['off']])
    expect(await ask(postgres.url, 'SHOW max_connections')).toEqual([['17']])
  })

  test('its clock moves, forth and back, in every connection', async () => {
    const postgres = kept(await startPostgres({ ...options, clock: true }))
    const clients = [new pg.Client(postgres.url), new pg.Client(postgres.url)]
    for (const client of clients) await client.connect()
    let expectedMs = 0
    const agree = async () => {
      for (const client of clients) {
        const { rows } = await client.query('SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now')
        expect(Math.abs(Number(rows[0].now) - Date.now() - expectedMs)).toBeLessThan(100)
      }
    }
    await agree()
    for (const ms of [10_000, -86_400_000, 90_000_000]) {
      await (ms > 0 ? postgres.advance(ms) : postgres.stepWall(ms))
      expectedMs += ms
      await agree()
    }
    for (const client of clients) await client.end()
  })

  test('a standby follows it, and is promoted when it is gone', async () => {
    const postgres = kept(await startPostgres(options))
    await ask(postgres.url, 'CREATE TABLE words AS SELECT 1 AS word')
    const standby = kept(await startStandby(postgres))
    await ask(postgres.url, 'INSERT INTO words VALUES (2)')
    const count = async () => (await ask(standby.url, 'SELECT count(*) FROM words'))[0]?.[0]
    await until(async () => (await count()) === '2')
    await expect(ask(standby.url, 'INSERT INTO words VALUES (3)')).rejects.toThrow(/read-only/)
    await postgres.kill()
    await standby.promote()
    await ask(standby.url, 'INSERT INTO words VALUES (3)')
    expect(await count()).toBe('3')
  })

  test('PgBouncer stands before it in transaction mode', async () => {
    const postgres = kept(await startPostgres(options))
    const bouncer = kept(await startPgBouncer(postgres))
    expect(await ask(bouncer.url, 'SELECT inet_server_port()')).toEqual([[String(postgres.port)]])
    expect(await ask(bouncer.url.replace(/\w+$/, 'pgbouncer'), 'SHOW POOLS')).toContainEqual(
      expect.arrayContaining(['postgres', 'transaction']),
    )
  })
})

describe('nginx', () => {
  const saying = (what: string) => ({
    http: ({ host, port }: { host: string; port: number }) =>
      `server { listen ${host}:${port}; location / { return 200 ${what}; } }`,
  })

  test('answers as it was told, again after a kill, and leaves neither port nor folder when it stops', async () => {
    const nginx = kept(await startNginx(saying('one')))
    expect(nginx.version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(await (await fetch(nginx.url)).text()).toBe('one')
    await nginx.kill()
    expect(await accepts(nginx.port)).toBe(false)
    await nginx.start()
    expect(await (await fetch(nginx.url)).text()).toBe('one')
    await nginx.stop()
    expect(await accepts(nginx.port)).toBe(false)
    expect(existsSync(nginx.folder)).toBe(false)
  })

  test('writes into its own folder only, also a body that is too large for its memory', async () => {
    const nginx = kept(
      await startNginx({
        http: ({ host, port }) =>
          `server { listen ${host}:${port};
            location /in { client_max_body_size 2m; proxy_pass http://${host}:${port}/out; }
            location /out { return 200 kept; } }`,
      }),
    )
    const answer = await fetch(`${nginx.url}/in`, { method: 'POST', body: 'x'.repeat(1_000_000) })
    expect([answer.status, await answer.text()]).toEqual([200, 'kept'])
    expect(nginx.log).toMatch(new RegExp(`buffered to a temporary file ${nginx.folder}/client_body/`))
    expect(nginx.log).not.toMatch(/Permission denied/)
  })

  test('says what it refused', async () => {
    await expect(startNginx({ http: () => 'proxy_next_upstream sometimes;' })).rejects.toThrow(
      /nginx did not start:[\s\S]*invalid value "sometimes"/,
    )
  })
})

describe('nats and rabbitmq', () => {
  test.each([
    ['nats', startNats, /^nats:/],
    ['rabbitmq', startRabbitmq, /^amqp:/],
  ] as const)(
    '%s starts, again after a kill, and leaves neither port nor folder when it stops',
    async (name, start, url) => {
      const server = kept(await start())
      expect([server.name, /^\d+\.\d+\.\d+/.test(server.version), url.test(server.url)]).toEqual([name, true, true])
      await server.kill()
      expect(await accepts(server.port)).toBe(false)
      await server.start()
      expect(await accepts(server.port)).toBe(true)
      await server.stop()
      expect(await accepts(server.port)).toBe(false)
      expect(existsSync(server.folder)).toBe(false)
    },
  )
})

describe('an owner that dies', () => {
  const owner = fileURLToPath(new URL('owner.mjs', import.meta.url))

  test.each(['SIGKILL', 'SIGTERM', 'exit', 'crash'])('leaves no server and no folder behind: %s', async (how) => {
    const child = spawn(process.execPath, [owner, how], { stdio: ['ignore', 'pipe', 'ignore'] })
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => (said += bytes))
    await until(() => said.includes('\n'))
    const servers = JSON.parse(said) as { pid: number; folder: string; port: number }[]
    expect(servers).toHaveLength(2)
    // The control: while its owner lives, so does a server.
    for (const { pid, folder, port } of servers) {
      expect([alive(pid), existsSync(folder), await accepts(port)]).toEqual([true, true, true])
    }
    const ended = once(child, 'exit')
    child.kill(how.startsWith('SIG') ? (how as NodeJS.Signals) : 'SIGUSR2')
    await ended
    for (const { pid, folder, port } of servers) {
      await until(() => !alive(pid) && !existsSync(folder))
      expect(await accepts(port)).toBe(false)
    }
  })
})

test('the list says of each service what it is, or why it is not here', () => {
  const services = listServices()
  expect(new Set(services.map(({ name }) => name))).toEqual(
    new Set(['redis', 'valkey', 'postgres', 'pgbouncer', 'nginx', 'chromium', 'nats', 'rabbitmq']),
  )
  for (const { program, version, note } of services) {
    expect(program === undefined ? note : version).toMatch(/\S/)
  }
})
