/** What only PostgreSQL has to show: migrations, locks, WAL, HOT updates, faults, refusals, and the user's own transaction. */
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type PostgresServer, startPostgres, startStandby } from '../../../../scripts/services.mjs'
import { IdempotencyError } from '../../src/core/errors.ts'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { AttemptId } from '../../src/core/record.ts'
import type { ClaimRequest, Settlement, Store } from '../../src/core/store.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { migrate, postgresStore } from '../../src/stores/postgres/index.ts'
import { migrations } from '../../src/stores/postgres/migrations/index.ts'
import { connect, freshSchema, type OpenedPostgres, openPostgres, quoted } from './postgres.ts'

let server: PostgresServer
let admin: pg.Pool

beforeAll(async () => {
  // Autovacuum would write WAL and move statistics in the middle of what is measured.
  server = await startPostgres({ settings: { autovacuum: 'off', max_connections: '200' } })
  admin = new pg.Pool({ connectionString: server.url, max: 4 })
}, 120_000)

afterAll(async () => {
  await admin.end()
  await server.stop()
})

/** Runs with a store in a schema of its own, which goes with it. */
async function within(use: (opened: OpenedPostgres) => Promise<void>): Promise<void> {
  const opened = await openPostgres(admin, server.url)
  try {
    await use(opened)
  } finally {
    await opened.close()
  }
}

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

function completed(id: string, attempt: string, body: Uint8Array = Buffer.from('body'), offset = 0): Settlement {
  const ids = { recordId: id as RecordId, attemptId: attempt as AttemptId }
  const rest = { offset, bytes: body }
  return { ...ids, kind: 'completed', outcome: 'value', head: Buffer.from('head'), rest, digest: 'd' }
}

async function stateOf(store: Store, id: string): Promise<string> {
  return (await store.read([id as RecordId]))[0]?.record?.state ?? 'absent'
}

async function rejection(call: Promise<unknown>): Promise<IdempotencyError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(IdempotencyError)
  return error as IdempotencyError
}

const range = (length: number): number[] => Array.from({ length }, (_, at) => at)

describe('migrate', () => {
  test('makes the schema once, however often and however many at once call it', async () => {
    const schema = freshSchema()
    const others = range(4).map(() => connect(server.url, 'postgres', 1))
    await Promise.all([
      ...range(4).map(() => migrate(admin, { schema })),
      ...others.map((o) => migrate(o.pool, { schema })),
    ])
    await migrate(admin, { schema })
    await Promise.all(others.map((other) => other.end()))
    const { rows } = await admin.query(`SELECT id FROM ${quoted(schema)}.migrations`)
    expect(rows).toEqual(migrations.map(({ id }) => ({ id })))
    const [answer] = await postgresStore(admin, { schema }).claim([ask('a', 'one')])
    expect(answer?.kind).toBe('granted')
    await admin.query(`DROP SCHEMA ${quoted(schema)} CASCADE`)
  })

  test('upgrades a schema while a process of the version before goes on; a store of this version refuses until then', async () => {
    const schema = freshSchema()
    await migrate(admin, { schema })
    const older = postgresStore(admin, { schema })
    await older.claim([ask('first', 'one')])
    // What the version before had made; the older store has looked at its schema already, as a running process has.
    await admin.query(`DROP SCHEMA ${quoted(schema)} CASCADE`)
    await migrateTo(schema, migrations.length - 1)
    const begun = ask('begun', 'one')
    expect((await older.claim([begun]))[0]?.kind).toBe('granted')
    const newer = postgresStore(admin, { schema })
    const refusal = await rejection(newer.claim([ask('a', 'one')]))
    const sentence = `The schema ${quoted(schema)} is of an older version. Call migrate(pool) once before the store is used.`
    expect(refusal.message).toBe(sentence)
    let upgraded = false
    const working = (async () => {
      let claims = 0
      for (; !upgraded || claims < 20; claims++) {
        expect((await older.claim([ask(`old ${claims}`, 'one')]))[0]?.kind).toBe('granted')
        expect((await older.settle([completed(`old ${claims}`, 'one')]))[0]?.kind).toBe('recorded')
      }
      return claims
    })()
    await migrate(admin, { schema })
    upgraded = true
    expect(await working).toBeGreaterThanOrEqual(20)
    expect((await newer.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
    expect(await stateOf(newer, 'old 0')).toBe('completed')
    await newer.tally([{ name: 'n', writer: 'w', counts: { executed: 1 } }])
    expect((await newer.tallies(undefined)).tallies).toHaveLength(1)
    const ids = { recordId: begun.recordId, attemptId: begun.attemptId }
    await newer.settle([{ ...ids, kind: 'step', name: 's', value: Buffer.from('v') }])
    expect(await newer.steps(begun.recordId)).toHaveLength(1)
    // The older one ends what has steps that it knows nothing of.
    expect((await older.settle([completed('begun', 'one')]))[0]?.kind).toBe('recorded')
    expect(await newer.steps(begun.recordId)).toEqual([])
    await admin.query(`DROP SCHEMA ${quoted(schema)} CASCADE`)
  })

  async function migrateTo(schema: string, count: number): Promise<void> {
    const client = await admin.connect()
    try {
      await client.query(`BEGIN; CREATE SCHEMA ${quoted(schema)}; SET LOCAL search_path TO ${quoted(schema)}, pg_temp`)
      await client.query('CREATE TABLE migrations (id int NOT NULL PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())')
      for (const { id, sql } of migrations.slice(0, count)) {
        await client.query(sql)
        await client.query('INSERT INTO migrations (id) VALUES ($1)', [id])
      }
      await client.query('COMMIT')
    } finally {
      client.release()
    }
  }

  test('makes the schema that the repository shows', async () => {
    await migrate(admin)
    const dump = execFileSync('pg_dump', ['-s', '-n', 'oncekey', '--no-owner', '--no-privileges', server.url], {
      encoding: 'utf8',
    })
    // What pg_dump says of itself and its session differs with its version.
    const lines = dump.split('\n').filter((line) => !/^(--|SET |SELECT pg_catalog|\\)/.test(line))
    const schema = lines
      .join('\n')
      .replace(/\n{2,}/g, '\n\n')
      .trim()
    await expect(
      `-- The schema, as \`migrate\` makes it. Written by a test: npx vitest run ${'packages/oncekey/test/stores/postgres.test.ts'} -u\n\n${schema}\n`,
    ).toMatchFileSnapshot('../../src/stores/postgres/schema.sql')
    await admin.query('DROP SCHEMA oncekey CASCADE')
  })

  test('refuses with one sentence where the user may not create the schema', async () => {
    await admin.query('CREATE ROLE weak LOGIN')
    const weak = new pg.Pool({ connectionString: server.url.replace('postgres@', 'weak@') })
    const error = await rejection(migrate(weak, { schema: 'theirs' }))
    expect([error.code, error.message]).toEqual([
      'store_unavailable',
      'This database user may not do that. Grant it what the page on PostgreSQL lists, or migrate as the owner.',
    ])
    await weak.end()
  })

  test('leaves a user that owns nothing with enough to work, once that is granted', async () => {
    const schema = freshSchema()
    await migrate(admin, { schema })
    const name = quoted(schema)
    await admin.query('CREATE ROLE worker LOGIN')
    const pool = new pg.Pool({ connectionString: server.url.replace('postgres@', 'worker@') })
    const store = postgresStore(pool, { schema })
    expect((await rejection(store.claim([ask('a', 'one')]))).message).toContain('may not')
    await admin.query(
      `GRANT USAGE ON SCHEMA ${name} TO worker; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${name} TO worker`,
    )
    expect((await store.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
    expect((await store.settle([completed('a', 'one')]))[0]?.kind).toBe('recorded')
    expect((await store.sweep(10, 0)).purged).toBe(0)
    expect((await store.diagnose()).find((one) => one.check === 'privileges')?.level).toBe('good')
    await admin.query(`REVOKE DELETE ON ${name}.chunks FROM worker`)
    const finding = (await store.diagnose()).find((one) => one.check === 'privileges')
    expect([finding?.level, finding?.found]).toEqual(['broken', 'missing: delete on chunks'])
    await pool.end()
    await admin.query(`DROP SCHEMA ${name} CASCADE`)
  })

  test('refuses names that PostgreSQL would cut or keeps for itself', async () => {
    for (const schema of ['', 'x'.repeat(64), 'pg_mine']) {
      expect((await rejection(migrate(admin, { schema }))).code).toBe('config_invalid')
    }
  })
})

describe('arrays', () => {
  const entry = fc.record({ id: fc.nat(3), attempt: fc.nat(2), other: fc.nat(5), what: fc.nat(8), digest: fc.nat(1) })
  const step = fc.record({
    call: fc.constantFrom('claim', 'settle', 'renew'),
    entries: fc.array(entry, { maxLength: 8 }),
    pass: fc.constantFrom(0, 0, 1_050, 1_500, 6_000),
  })

  const kinds = ['dispatched', 'head', 'dropped', 'completed', 'released', 'unknown'] as const
  type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

  /** Makes the call of a step on a store. */
  function call(store: Store, { call, entries }: Step, run: number): Promise<unknown> {
    const ids = entries.map((e) => ({
      recordId: `${run}-${e.id}` as RecordId,
      attemptId: `attempt-${e.attempt}` as AttemptId,
    }))
    const of = (at: number) => ids[at] as (typeof ids)[number]
    if (call === 'renew') return store.renew(ids.map((both) => ({ ...both, leaseMs: 1_000 })))
    if (call === 'claim') {
      return store.claim(
        entries.map((e, at) => ({
          ...ask('', '', { leaseMs: 1_000, skewMs: 100, retentionMs: 5_000 }),
          ...of(at),
          fingerprint: (e.other === 0 ? 'another' : 'same') as Fingerprint,
          onAbandoned: e.what < 3 ? ('unknown' as const) : ('reexecute' as const),
        })),
      )
    }
    return store.settle(
      entries.map((e, at): Settlement => {
        const kind = kinds[e.what] ?? 'completed'
        const digest = `d${e.digest}`
        if (kind === 'completed')
          return { ...completed('', '', Buffer.alloc(e.digest)), ...of(at), digest } as Settlement
        if (kind === 'head') return { ...of(at), kind, head: Buffer.from('h') }
        if (kind === 'released') return { ...of(at), kind, retryAfterMs: 0, digest }
        return kind === 'unknown' ? { ...of(at), kind, digest } : { ...of(at), kind }
      }),
    )
  }

  /** Do random histories of arrays get the answers that the memory store gives one entry after the other? */
  async function agrees(opened: OpenedPostgres, numRuns: number): Promise<boolean> {
    let nowMs = 1_800_000_000_000
    let run = 0
    const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs }
    const property = fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
      run += 1
      const memory = memoryStore(clock)
      for (const one of steps) {
        nowMs += one.pass
        await admin.query(`UPDATE ${quoted(opened.schema)}.test_clock SET us = $1`, [nowMs * 1000])
        expect(plain(await call(opened.store, one, run))).toEqual(plain(await call(memory, one, run)))
      }
    })
    const result = await fc.check(property, { numRuns })
    if (result.failed && numRuns === histories) throw new Error(fc.defaultReportMessage(result) ?? 'it does not agree')
    return !result.failed
  }

  const histories = 300

  test('of any mixture, with ids that come again and again, get the answers of one entry after the other', async () => {
    const opened = await openPostgres(admin, server.url, { time: 'us' })
    expect(await agrees(opened, histories)).toBe(true)
    await opened.close()
  }, 120_000)

  /** Guards as they stand in the functions, and what becomes of them. */
  const mutants: readonly (readonly [string, string, string, string])[] = [
    ['a settle from anybody is recorded', 'settle', 'AND r.attempt_id = q.attempt_id AND r.state', 'AND r.state'],
    ['what is settled is settled again', 'settle', "r.state IN ('running', 'unknown')", "r.state <> 'released'"],
    ['what was dropped is completed', 'settle', 'AND NOT r.dropped', ''],
    ['progress from anybody is recorded', 'settle_one', 'r.attempt_id IS DISTINCT FROM ask.attempt_id', 'r.id IS NULL'],
    ['an abandoned effect begins again', 'claim_verdict', "r.on_abandoned <> 'unknown' OR NOT r.dispatched", 'true'],
    ['a lease ends without the margin', 'claim_verdict', 'r.lease_until + ask.skew_ms', 'r.lease_until'],
    ['another request gets the record', 'claim_verdict', "THEN 'mismatch'", "THEN 'held'"],
    ['the former attempt’s marks stay', 'grant_again', 'dispatched = false, dropped = false', 'dropped = false'],
    [
      'a renewal of anybody extends the lease',
      'renew',
      'WHERE r.attempt_id = q.attempt_id AND r.state',
      'WHERE r.state',
    ],
  ]

  for (const [name, of, guard, instead] of mutants) {
    test(`the control: ${name}, and a history shows it`, async () => {
      const opened = await openPostgres(admin, server.url, { time: 'us' })
      const text = `SELECT pg_get_functiondef(p.oid) AS text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = $1 AND p.proname = $2`
      const found = (await admin.query(text, [opened.schema, of])).rows[0]?.text as string
      expect(found).toContain(guard)
      const client = await admin.connect()
      await client.query(`BEGIN; SET LOCAL search_path TO ${quoted(opened.schema)}`)
      await client.query(found.replace(guard, instead))
      await client.query('COMMIT')
      client.release()
      expect(await agrees(opened, 1_500)).toBe(false)
      await opened.close()
    }, 60_000)
  }

  test('of two pools in opposite order never deadlock', async () => {
    await within(async ({ store, another }) => {
      const second = another()
      const ids = range(40).map((at) => `id-${at}`)
      await store.claim(ids.map((id) => ask(id, 'owner')))
      const mixed = (list: readonly string[]): Settlement[] =>
        list.map((id, at) =>
          at % 2 === 0
            ? completed(id, 'nobody')
            : { recordId: id as RecordId, attemptId: 'owner' as AttemptId, kind: 'head', head: Buffer.from('h') },
        )
      const leases = (list: readonly string[]) =>
        list.map((id) => ({ recordId: id as RecordId, attemptId: 'owner' as AttemptId, leaseMs: 1_000 }))
      for (let pair = 0; pair < 150; pair++) {
        const fresh = ids.map((id) => `${pair}-${id}`)
        await Promise.all([
          store.settle(mixed(ids)),
          second.settle(mixed([...ids].reverse())),
          store.renew(leases(ids)),
          second.renew(leases([...ids].reverse())),
          store.claim([...fresh, ...ids].map((id) => ask(id, 'first'))),
          second.claim([...fresh, ...ids].reverse().map((id) => ask(id, 'second'))),
        ])
      }
      const { rows } = await admin.query('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()')
      expect(rows[0]?.deadlocks).toBe('0')
    })
  }, 60_000)

  test('of two pools that race for 200 ids grant each once', async () => {
    await within(async ({ store, another }) => {
      const second = another()
      for (let round = 0; round < 5; round++) {
        const ids = range(200).map((at) => `${round}-${at}`)
        const answers = await Promise.all([
          store.claim(ids.map((id) => ask(id, 'first'))),
          second.claim([...ids].reverse().map((id) => ask(id, 'second'))),
        ])
        const granted = answers.flat().filter((answer) => answer.kind === 'granted')
        expect(granted.length).toBe(200)
        expect(answers.flat().filter((answer) => answer.kind === 'held').length).toBe(200)
      }
    })
  })

  test('of lapsed records that two pools race for go to one each', async () => {
    await within(async ({ store, another, advance }) => {
      const second = another()
      const ids = range(100).map((at) => `id-${at}`)
      await store.claim(ids.map((id) => ask(id, 'gone')))
      await advance(31_000)
      const answers = await Promise.all([
        store.claim(ids.map((id) => ask(id, 'first'))),
        second.claim([...ids].reverse().map((id) => ask(id, 'second'))),
      ])
      expect(answers.flat().filter((answer) => answer.kind === 'granted').length).toBe(100)
    })
  })
})

describe('races', () => {
  test('a settle that meets a renewal, an append or progress of the same record is recorded', async () => {
    await within(async ({ store, another }) => {
      const second = another()
      for (let round = 0; round < 40; round++) {
        const ids = range(20).map((at) => `${round}-${at}`)
        await store.claim(ids.map((id) => ask(id, 'one')))
        const renewals = ids.map((id) => ({ recordId: id as RecordId, attemptId: 'one' as AttemptId, leaseMs: 9_000 }))
        const progress = renewals.map(({ leaseMs: _, ...both }): Settlement => ({ ...both, kind: 'dispatched' }))
        const [, , settled] = await Promise.all([
          second.renew(renewals),
          second.settle(progress),
          store.settle(ids.map((id) => completed(id, 'one'))),
        ])
        expect(new Set(settled.map((answer) => answer.kind))).toEqual(new Set(['recorded']))
      }
    })
  })

  /**
   * ```
   *  claim      reads the floor · sees the record, which is over · waits for its lock        · inserts · looks at the floor again
   *  purge   deletes the record · raises the floor                                    commits
   * ```
   */
  test('I9 a claim that inserts behind a purge it did not see is made again, above the purged fence', async () => {
    await within(async ({ store, schema, advance }) => {
      await store.claim([ask('a', 'one')])
      await store.settle([completed('a', 'one')])
      await advance(86_400_001)
      const purged = Date.now() * 1_000 + 900_000_000_000
      const purge = await admin.connect()
      await purge.query('BEGIN')
      await purge.query(`DELETE FROM ${quoted(schema)}.records`)
      await purge.query(`UPDATE ${quoted(schema)}.fence_floor SET fence = $1`, [purged])
      const claiming = rejection(store.claim([ask('a', 'two')]))
      const blocked = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%claim%'`
      await expect.poll(async () => (await admin.query(blocked)).rowCount).toBe(1)
      await purge.query('COMMIT')
      purge.release()
      expect((await claiming).message).toBe(
        'PostgreSQL could not serialize this call with another one. It can be made again.',
      )
      const [again] = await store.claim([ask('a', 'two')])
      expect(again?.kind === 'granted' && again.record.fence > purged).toBe(true)
    })
  })
})

describe('cost', () => {
  async function wal(during: () => Promise<unknown>): Promise<number> {
    const lsn = async () => Number((await admin.query(`SELECT pg_current_wal_insert_lsn() - '0/0' AS at`)).rows[0]?.at)
    const before = await lsn()
    await during()
    return (await lsn()) - before
  }

  test('a replay writes no WAL, and a claim does', async () => {
    await within(async ({ store }) => {
      const ids = range(50).map((at) => `id-${at}`)
      await store.claim(ids.map((id) => ask(id, 'one')))
      await store.settle(ids.map((id) => completed(id, 'one')))
      // The server itself writes a line now and then, so the least of some is what a replay costs.
      const least: number[] = []
      for (let turn = 0; turn < 5; turn++) least.push(await wal(() => store.claim(ids.map((id) => ask(id, 'two')))))
      expect(Math.min(...least)).toBe(0)
      expect(await wal(() => store.claim([ask('fresh', 'one')]))).toBeGreaterThan(0)
    })
  })

  test('what changes while a record runs is a HOT update', async () => {
    await within(async ({ schema }) => {
      const { pool, end } = connect(server.url)
      const store = postgresStore(pool, { schema })
      const ids = range(100).map((at) => `id-${at}`)
      const ofAll = (id: string) => ({ recordId: id as RecordId, attemptId: 'one' as AttemptId })
      await store.claim(ids.map((id) => ask(id, 'one')))
      await store.settle(ids.map((id) => ({ ...ofAll(id), kind: 'dispatched' })))
      await store.settle(ids.map((id) => ({ ...ofAll(id), kind: 'head', head: Buffer.alloc(100) })))
      for (let piece = 0; piece < 15; piece++) {
        await store.append(ids.map((id) => ({ ...ofAll(id), offset: piece * 50, bytes: Buffer.alloc(50) })))
        if (piece % 5 === 0) await store.renew(ids.map((id) => ({ ...ofAll(id), leaseMs: 30_000 })))
      }
      await store.settle(ids.map((id) => completed(id, 'one', Buffer.alloc(0), 750)))
      // A connection tells its counts when it ends.
      await end()
      const count = async () =>
        (
          await admin.query(
            'SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE schemaname = $1 AND relname = $2',
            [schema, 'records'],
          )
        ).rows[0]
      await expect.poll(async () => Number((await count())?.all)).toBeGreaterThanOrEqual(2_100)
      const { all, hot } = await count()
      expect(Number(hot) / Number(all)).toBeGreaterThan(0.9)
    })
  })

  test('a plan that was made on an empty table never reads a full one', async () => {
    await within(async ({ schema }) => {
      const { pool, end } = connect(server.url, 'pg', 1)
      const store = postgresStore(pool, { schema })
      const pair = async (from: number): Promise<void> => {
        const ids = range(50).map((at) => `id-${from + at}`)
        await store.claim(ids.map((id) => ask(id, 'one')))
        await store.renew(ids.map((id) => ({ recordId: id as RecordId, attemptId: 'one' as AttemptId, leaseMs: 1 })))
        await store.settle(ids.map((id) => completed(id, 'one')))
        await store.sweep(10, 0)
      }
      for (let at = 0; at < 60; at++) await pair(at * 50)
      await end()
      const read = async () =>
        (
          await admin.query(
            `SELECT sum(idx_tup_read)::int AS read FROM pg_stat_user_indexes WHERE schemaname = $1 AND indexrelname = 'records_pkey'`,
            [schema],
          )
        ).rows[0]?.read
      await expect.poll(read).toBeGreaterThan(3_000)
      // 3,000 operations of a few lookups each; each lookup meets at most some dead versions.
      expect(await read()).toBeLessThan(100_000)
    })
  }, 60_000)
})

describe('bodies', () => {
  test('of 5 MiB come back byte for byte, whole, in chunks, and read piece by piece', async () => {
    await within(async ({ store }) => {
      const bytes = Buffer.alloc(5 * 1024 * 1024)
      for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31 + (at >> 8)) & 255
      await store.claim([ask('whole', 'one'), ask('chunks', 'one')])
      await store.settle([completed('whole', 'one', bytes)])
      const piece = 200_000
      for (let at = 0; at < bytes.length; at += piece) {
        const ids = { recordId: 'chunks' as RecordId, attemptId: 'one' as AttemptId }
        const [answer] = await store.append([{ ...ids, offset: at, bytes: bytes.subarray(at, at + piece) }])
        expect(answer?.kind).toBe('appended')
      }
      await store.settle([completed('chunks', 'one', Buffer.alloc(0), bytes.length)])
      for (const id of ['whole', 'chunks']) {
        const pieces: Uint8Array[] = []
        for (let at = 0; at < bytes.length; ) {
          const more = await store.readBody(id as RecordId, 'one' as AttemptId, at)
          at += more.reduce((sum, one) => sum + one.length, 0)
          pieces.push(...more)
        }
        expect(Buffer.concat(pieces).equals(bytes), id).toBe(true)
      }
    })
  }, 60_000)

  test('of an ended record are gone from the disk', async () => {
    await within(async ({ store, schema }) => {
      await store.claim([ask('a', 'one')])
      await store.append([
        { recordId: 'a' as RecordId, attemptId: 'one' as AttemptId, offset: 0, bytes: Buffer.alloc(9) },
      ])
      const chunks = async () =>
        Number((await admin.query(`SELECT count(*) FROM ${quoted(schema)}.chunks`)).rows[0]?.count)
      expect(await chunks()).toBe(1)
      const ids = { recordId: 'a' as RecordId, attemptId: 'one' as AttemptId }
      await store.settle([{ ...ids, kind: 'released', retryAfterMs: 0, digest: 'd' }])
      expect(await chunks()).toBe(0)
    })
  })
})

describe('faults', () => {
  test('kill -9 of the server loses nothing that was acknowledged, and the store goes on', async () => {
    const own = await startPostgres()
    const { pool, end } = connect(own.url)
    await migrate(pool)
    const store = postgresStore(pool)
    const acknowledged: string[] = []
    const [stopped, failed] = await Promise.all([
      new Promise<boolean>((resolve) => setTimeout(() => void own.kill().then(() => resolve(true)), 400)),
      (async () => {
        for (let at = 0; ; at++) {
          const ids = range(8).map((n) => `${at}-${n}`)
          try {
            await store.claim(ids.map((id) => ask(id, 'one')))
            await store.settle(ids.map((id) => completed(id, 'one')))
            acknowledged.push(...ids)
          } catch (error) {
            return error
          }
        }
      })(),
    ])
    expect(stopped).toBe(true)
    expect((failed as IdempotencyError).code).toBe('store_unavailable')
    expect(acknowledged.length).toBeGreaterThan(50)
    await own.start()
    for (let at = 0; at < acknowledged.length; at += 400) {
      const some = acknowledged.slice(at, at + 400)
      const answers = await store.read(some as RecordId[])
      expect(answers.filter(({ record }) => record?.state !== 'completed')).toEqual([])
    }
    expect((await store.claim([ask('after', 'one')]))[0]?.kind).toBe('granted')
    await end()
    await own.stop()
  }, 60_000)

  test('a connection that is ended in the middle of a call rejects it with a sentence, and the next call works', async () => {
    for (const driver of ['pg', 'postgres'] as const) {
      const opened = await openPostgres(admin, server.url, { driver })
      await opened.store.claim([ask('a', 'one')])
      const locker = await admin.connect()
      await locker.query(`BEGIN; SELECT FROM ${quoted(opened.schema)}.records FOR UPDATE`)
      const settling = rejection(opened.store.settle([{ ...completed('a', 'one'), recordId: 'a' as RecordId }]))
      const blocked = `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%settle%'`
      await expect.poll(async () => (await admin.query(blocked)).rowCount).toBe(1)
      await admin.query(`SELECT pg_terminate_backend(pid) FROM (${blocked}) b`)
      const error = await settling
      await locker.query('ROLLBACK')
      locker.release()
      expect([error.code, error.retryable]).toEqual(['store_unavailable', true])
      // `pg` hears why, `postgres` only that the connection is gone.
      expect(error.message).toMatch(
        /^(PostgreSQL ended this connection|The connection to PostgreSQL was lost)\. The pool makes a new one; the call can be made again\.$/,
      )
      expect(error.cause).toBeInstanceOf(Error)
      // `postgres` may answer one more call with the error of the connection that it replaced.
      const settled = async () => (await opened.store.settle([completed('a', 'one')]).catch(() => []))[0]?.kind
      await expect.poll(settled).toBe('recorded')
      await opened.close()
    }
  })

  test('an idle connection that breaks does not end the process', async () => {
    await within(async ({ store, schema }) => {
      await store.claim([ask('a', 'one')])
      await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%${schema.replaceAll('"', '""')}%claim%' AND pid <> pg_backend_pid() AND state = 'idle'`,
      )
      await expect.poll(() => stateOf(store, 'a').catch(() => 'broken')).toBe('running')
    })
  })

  test('a record that somebody has locked rejects in time, and no other lease waits for it', async () => {
    await within(async ({ store, schema }) => {
      await store.claim(range(5).map((at) => ask(`id-${at}`, 'one', { leaseMs: 1_000 })))
      const locker = await admin.connect()
      await locker.query(`BEGIN; SELECT FROM ${quoted(schema)}.records WHERE id = 'id-2' FOR UPDATE`)
      const leases = range(5).map((at) => ({
        recordId: `id-${at}` as RecordId,
        attemptId: 'one' as AttemptId,
        leaseMs: 90_000,
      }))
      const answers = await store.renew(leases)
      expect(answers.map((answer) => answer.kind)).toEqual(['renewed', 'renewed', 'unknown', 'renewed', 'renewed'])
      const error = await rejection(store.settle([completed('id-2', 'one')]))
      expect(error.message).toBe('The record is locked by a transaction that has not ended. End it, or try again.')
      await locker.query('ROLLBACK')
      locker.release()
      expect((await store.renew(leases)).map((answer) => answer.kind)).toEqual(range(5).map(() => 'renewed'))
    })
  })

  test('a server that is away is a sentence without the password', async () => {
    const away = new pg.Pool({ connectionString: 'postgres://user:hunter2@127.0.0.1:1/db' })
    const error = await rejection(postgresStore(away).claim([ask('a', 'one')]))
    expect([error.code, error.message]).toEqual([
      'store_unavailable',
      'PostgreSQL cannot be reached. Check that it runs, and the host and the port that the pool was given.',
    ])
    expect(String(error) + String(error.cause)).not.toContain('hunter2')
    await away.end()
  })
})

describe('refusals', () => {
  test('without the schema, the sentence says how to make it', async () => {
    const error = await rejection(postgresStore(admin, { schema: 'nowhere' }).claim([ask('a', 'one')]))
    expect([error.code, error.message]).toEqual([
      'config_invalid',
      'The schema "nowhere" is not there. Call migrate(pool) once before the store is used.',
    ])
  })

  test('synchronous_commit = off is turned on inside every transaction that must last', async () => {
    const settings = { synchronous_commit: 'off', wal_writer_delay: '10s', bgwriter_delay: '10s' }
    const own = await startPostgres({ settings })
    const { pool, end } = connect(own.url)
    await migrate(pool)
    for (const dangerouslyAllowLoss of [false, true]) {
      const store = postgresStore(pool, { dangerouslyAllowLoss })
      const id = `allowed ${dangerouslyAllowLoss}`
      expect((await store.claim([ask(id, 'one')]))[0]?.kind).toBe('granted')
      expect(store.capabilities.durability).toBe(dangerouslyAllowLoss ? 'process' : 'disk')
      const finding = (await store.diagnose()).find((one) => one.check === 'durability')
      expect([finding?.level, finding?.found]).toEqual([
        dangerouslyAllowLoss ? 'broken' : 'good',
        'synchronous_commit off',
      ])
    }
    await own.kill()
    await own.start()
    const store = postgresStore(pool)
    expect(await stateOf(store, 'allowed false').catch(() => stateOf(store, 'allowed false'))).toBe('running')
    // The control: what was not made to last is gone.
    expect(await stateOf(store, 'allowed true')).toBe('absent')
    await end()
    await own.stop()
  }, 60_000)

  test('fsync = off and full_page_writes = off are refused, unless told otherwise', async () => {
    for (const setting of ['fsync', 'full_page_writes']) {
      const own = await startPostgres({ settings: { [setting]: 'off' } })
      const { pool, end } = connect(own.url)
      await migrate(pool)
      const error = await rejection(postgresStore(pool).claim([ask('a', 'one')]))
      expect([error.code, error.message]).toEqual([
        'config_invalid',
        `PostgreSQL runs with ${setting} = off: a crash of its machine can lose or damage what was acknowledged. ` +
          'Turn it on, or set the option dangerouslyAllowLoss.',
      ])
      const told = postgresStore(pool, { dangerouslyAllowLoss: true })
      expect((await told.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
      await end()
      await own.stop()
    }
  }, 60_000)

  test('a standby is refused; a primary whose commits wait for one is replicated', async () => {
    const primary = await startPostgres()
    const { pool, end } = connect(primary.url)
    await migrate(pool)
    const standby = await startStandby(primary)
    const there = connect(standby.url)
    const error = await rejection(postgresStore(there.pool).claim([ask('a', 'one')]))
    expect([error.code, error.message]).toEqual([
      'config_invalid',
      'This PostgreSQL is a standby, which takes no writes. Connect to the primary.',
    ])
    const store = postgresStore(pool)
    const replicas = async () => (await store.diagnose()).find((one) => one.check === 'replicas')
    await expect.poll(async () => (await replicas())?.found).toBe('1 asynchronous standby')
    const root = new pg.Client(primary.url)
    await root.connect()
    await root.query('ALTER SYSTEM SET synchronous_standby_names = standby')
    await root.query('SELECT pg_reload_conf()')
    await root.end()
    await expect.poll(async () => (await replicas())?.level).toBe('good')
    expect((await store.claim([ask('a', 'one')]))[0]?.kind).toBe('granted')
    expect(store.capabilities.durability).toBe('replicated')
    await Promise.all([end(), there.end()])
    await standby.stop()
    await primary.stop()
  }, 60_000)

  test('a store that is given no pool says so', () => {
    expect(() => postgresStore({} as never)).toThrow('postgresStore needs a pg Pool or a postgres instance.')
  })
})

/** A transaction of a user's own, by either driver. */
interface Transactions {
  /** Runs the body in a transaction, which is rolled back if it throws. */
  run(use: (transaction: unknown, insert: (row: string) => Promise<unknown>) => Promise<void>): Promise<void>
  end(): Promise<void>
}

const transactions: Readonly<Record<string, (url: string, table: string) => Transactions>> = {
  pg: (url, table) => {
    const pool = new pg.Pool({ connectionString: url })
    return {
      run: async (use) => {
        const client = await pool.connect()
        try {
          await client.query('BEGIN')
          await use(client, (row) => client.query(`INSERT INTO ${table} VALUES ($1)`, [row]))
          await client.query('COMMIT')
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        } finally {
          client.release()
        }
      },
      end: () => pool.end(),
    }
  },
  postgres: (url, table) => {
    const sql = postgres(url)
    return {
      run: async (use) => {
        await sql.begin((own) => use(own, (row) => own.unsafe(`INSERT INTO ${table} VALUES ($1)`, [row])))
      },
      end: () => sql.end(),
    }
  },
}

describe('settleIn', () => {
  for (const [driver, begin] of Object.entries(transactions)) {
    test(`with ${driver}, the user's rows and the outcome land together or not at all`, async () => {
      await within(async ({ store, schema, advance }) => {
        const table = `${quoted(schema)}.orders`
        await admin.query(`CREATE TABLE ${table} (name text)`)
        const rows = async () => (await admin.query(`SELECT name FROM ${table}`)).rows.map((row) => row.name)
        const own = begin(server.url, table)
        await store.claim([ask('a', 'one'), ask('b', 'one')])

        await own.run(async (transaction, insert) => {
          await insert('together')
          expect((await store.settleIn?.(transaction, completed('a', 'one')))?.kind).toBe('recorded')
          expect(await stateOf(store, 'a'), 'before the commit').toBe('running')
        })
        expect([await stateOf(store, 'a'), await rows()]).toEqual(['completed', ['together']])

        const undone = own.run(async (transaction, insert) => {
          await insert('not this one')
          await store.settleIn?.(transaction, completed('b', 'one'))
          throw new Error('the user changed his mind')
        })
        await expect(undone).rejects.toThrow('changed his mind')
        expect([await stateOf(store, 'b'), await rows()]).toEqual(['running', ['together']])

        const again = own.run(async (transaction, insert) => {
          await insert('a second time')
          await store.settleIn?.(transaction, completed('a', 'one'))
        })
        expect((await rejection(again)).message).toContain('recorded by a former transaction')

        await advance(31_000)
        await store.claim([ask('b', 'two')])
        const late = own.run(async (transaction, insert) => {
          await insert('too late')
          await store.settleIn?.(transaction, completed('b', 'one'))
        })
        const error = await rejection(late)
        expect([error.code, error.message]).toEqual([
          'superseded',
          'The operation is owned by another attempt now, or over. Roll this transaction back: nothing of it may be kept.',
        ])
        expect(await rows()).toEqual(['together'])
        await own.end()
      })
    })
  }
})

/** Answers as they can be compared: bytes as numbers. */
function plain(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer, function (this: Record<string, unknown>, key, value) {
      const held = this[key]
      return held instanceof Uint8Array ? [...held] : value
    }),
  )
}
