/** Random histories: the reducer and every store give the same answers, and no invariant breaks on the way. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { startPostgres } from '../../../../scripts/services.mjs'
import type { Fingerprint } from '../../src/core/fingerprint.ts'
import type { RecordId } from '../../src/core/key.ts'
import type { AttemptId, IdempotencyRecord } from '../../src/core/record.ts'
import * as reducer from '../../src/core/reducer.ts'
import type { ClaimRequest, Settlement, Store } from '../../src/core/store.ts'
import { lmdbStore } from '../../src/stores/lmdb/index.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { claim } from '../../src/stores/redis/claim.lua.ts'
import { type RedisClient, redisStore } from '../../src/stores/redis/index.ts'
import * as others from '../../src/stores/redis/others.lua.ts'
import * as owners from '../../src/stores/redis/settle.lua.ts'
import { openPostgres, quoted } from './postgres.ts'
import { clients, freeze, openRedis, type Servers, startOne } from './redis.ts'

const times = { leaseMs: 1_000, skewMs: 200, retentionMs: 5_000 }
const policies = ['unknown', 'reexecute', 'reconcile', 'resume'] as const
const endings = ['step', 'dispatched', 'head', 'dropped', 'completed', 'omitted', 'released', 'unknown'] as const

const id = fc.nat(1)
const attempt = fc.nat(3)
/** Mostly where a body begins, for there most of them are sealed. */
const offset = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(6) })
const kind = <K extends string>(name: K) => fc.constant(name)
const bytes = fc.uint8Array({ minLength: 1, maxLength: 4 })

/** What can happen, to one of two records, by one of four attempts. */
const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('claim'),
      id,
      attempt,
      policy: fc.nat(3),
      other: fc.nat(9),
      tombstoneMs: fc.constantFrom(0, 0, 3_000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: kind('renew'), id, attempt }) },
  { weight: 2, arbitrary: fc.record({ kind: kind('append'), id, attempt, offset, bytes }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: kind('settle'),
      id,
      attempt,
      as: fc.constantFrom(...endings),
      offset,
      digest: fc.nat(1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('resolve'), id, attempt, fresh: fc.nat(3), cancels: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: kind('pass'), ms: fc.constantFrom(1, 500, 1_201, 5_000, 5_001, 7_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('back'), ms: fc.constantFrom(100, 100_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('sweep') }) },
)
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never
type Of<K extends Command['kind']> = Extract<Command, { kind: K }>

const utf8 = new TextEncoder()
const idOf = (number: number, run: string): RecordId => `${run}-${number}` as RecordId
const attemptOf = (number: number): AttemptId => `attempt-${number}` as AttemptId

function claimOf(c: Of<'claim'>, run: string): ClaimRequest {
  const onAbandoned = policies[c.policy] ?? 'unknown'
  const fingerprint = (c.other === 0 ? 'another' : 'same') as Fingerprint
  const ids = { recordId: idOf(c.id, run), attemptId: attemptOf(c.attempt) }
  return { ...ids, fingerprint, rawFingerprint: '', onAbandoned, tombstoneMs: c.tombstoneMs, ...times }
}

function settlementOf(c: Of<'settle'>, run: string): Settlement {
  const ids = { recordId: idOf(c.id, run), attemptId: attemptOf(c.attempt) }
  const head = utf8.encode('head')
  const digest = `d${c.digest}`
  const nothing = { offset: 0, bytes: new Uint8Array(0) }
  const rest = { offset: c.offset, bytes: utf8.encode('!') }
  if (c.as === 'dispatched' || c.as === 'dropped') return { ...ids, kind: c.as }
  if (c.as === 'step')
    return { ...ids, kind: 'step', name: `n${c.digest}`, value: utf8.encode(`${c.attempt}/${c.offset}`) }
  if (c.as === 'head') return { ...ids, kind: 'head', head }
  if (c.as === 'completed') return { ...ids, kind: 'completed', outcome: 'response', head, rest, digest }
  if (c.as === 'omitted') return { ...ids, kind: 'completed', outcome: 'omitted', head, rest: nothing, digest }
  if (c.as === 'released') return { ...ids, kind: 'released', retryAfterMs: c.digest * 100, digest }
  return { ...ids, kind: 'unknown', digest }
}

/** Time that all of them share. */
const time = { wall: 1_800_000_000_000, mono: 1_000_000 }
const clock = { wallMs: () => time.wall, monotonicMs: () => time.mono }
/** Where leases are on the clock of the database, which has only one. */
const oneClock = { wallMs: () => time.wall, monotonicMs: () => time.wall }
type HostClock = typeof clock

/** The pure model: the reducer over a Map, with the bytes that were written. */
class Model {
  readonly records = new Map<RecordId, IdempotencyRecord>()
  readonly bodies = new Map<RecordId, Uint8Array>()
  readonly steps = new Map<RecordId, Map<string, Uint8Array>>()
  readonly #lastFence = new Map<RecordId, number>()
  readonly #clock: HostClock
  readonly #sweepKnowsTime: boolean
  #fenceFloor = 0

  constructor(clock: HostClock, sweepKnowsTime = false) {
    this.#clock = clock
    this.#sweepKnowsTime = sweepKnowsTime
  }

  /** What a sweep does before it looks at records. */
  beginSweep(): void {
    if (this.#sweepKnowsTime) this.#fenceFloor = Math.max(this.#fenceFloor, this.#clock.wallMs() * 1000 - 1)
  }

  step<A>(
    id: RecordId,
    decide: (record: IdempotencyRecord | undefined, now: reducer.StoreTime) => reducer.Reduction<A>,
  ): A {
    const before = this.records.get(id)
    const now = { wallMs: this.#clock.wallMs(), leaseMs: this.#clock.monotonicMs(), fenceFloor: this.#fenceFloor }
    const { record, answer, drop, write, step, dropSteps } = decide(before, now)
    if (dropSteps === true) this.steps.delete(id)
    if (step !== undefined) this.steps.set(id, new Map(this.steps.get(id)).set(step.name, step.value))
    if (drop !== undefined || record === undefined) this.bodies.delete(id)
    if (record === undefined) {
      if (before !== undefined) this.#fenceFloor = Math.max(this.#fenceFloor, before.fence)
      this.records.delete(id)
      return answer
    }
    if (write !== undefined) this.bodies.set(id, Uint8Array.from([...(this.bodies.get(id) ?? []), ...write.bytes]))
    this.records.set(id, record)
    expect(this.steps.has(id), 'S23 what a record says of its steps').toBe(record.steps)
    expect(this.bodies.get(id)?.length ?? 0, 'I10 completeness').toBe(record.bodyLength)
    if (record.attemptId !== before?.attemptId && record.state === 'running') {
      expect(record.fence, 'I9 monotonic fence').toBeGreaterThan(this.#lastFence.get(id) ?? 0)
      this.#lastFence.set(id, record.fence)
    }
    return answer
  }
}

/** An answer as it can be compared: bytes as numbers, absent members absent. */
function plain(answer: unknown): unknown {
  // By the holder and not by the value: a Buffer has turned itself into an object by then.
  return JSON.parse(
    JSON.stringify(answer, function (this: Record<string, unknown>, key, value) {
      const held = this[key]
      return held instanceof Uint8Array ? [...held] : value
    }),
  )
}

async function sweepAll(store: Store): Promise<void> {
  for (let more = true; more; ) more = (await store.sweep(100, times.skewMs)).more
}

async function apply(c: Command, run: string, model: Model, stores: readonly Store[]): Promise<void> {
  const all = async (ask: (store: Store) => Promise<unknown>, expected: unknown): Promise<void> => {
    for (const store of stores) {
      expect(plain(await ask(store)), `${store.capabilities.name}: ${JSON.stringify(c)}`).toEqual(plain([expected]))
    }
  }
  if (c.kind === 'pass') {
    time.wall += c.ms
    time.mono += c.ms
  } else if (c.kind === 'back') {
    time.wall -= c.ms
  } else if (c.kind === 'claim') {
    const ask = claimOf(c, run)
    const answer = model.step(ask.recordId, (record, now) => reducer.claim(record, ask, now))
    const whole = answer.kind === 'held' && answer.record.state === 'completed'
    const body = model.bodies.get(ask.recordId) ?? new Uint8Array(0)
    await all((store) => store.claim([ask]), whole ? { ...answer, body } : answer)
  } else if (c.kind === 'renew') {
    const ask = { recordId: idOf(c.id, run), attemptId: attemptOf(c.attempt), leaseMs: times.leaseMs }
    const answer = model.step(ask.recordId, (record, now) => reducer.renew(record, ask, now))
    await all((store) => store.renew([ask]), answer)
  } else if (c.kind === 'settle') {
    const ask = settlementOf(c, run)
    const answer = model.step(ask.recordId, (record, now) => reducer.settle(record, ask, now))
    await all((store) => store.settle([ask]), answer)
  } else if (c.kind === 'resolve') {
    const ids = { recordId: idOf(c.id, run), expected: attemptOf(c.attempt), fresh: `fresh-${c.fresh}` as AttemptId }
    const ask = { ...ids, to: c.cancels ? ('cancelled' as const) : ('released' as const) }
    const answer = model.step(ask.recordId, (record, now) => reducer.resolve(record, ask, now))
    await all((store) => store.resolve([ask]), answer)
  } else if (c.kind === 'append') {
    const ask = { recordId: idOf(c.id, run), attemptId: attemptOf(c.attempt), offset: c.offset, bytes: c.bytes }
    const stored = model.bodies.get(ask.recordId)
    const answer = model.step(ask.recordId, (record) => reducer.append(record, ask))
    const same = c.bytes.every((byte, at) => stored?.[c.offset + at] === byte)
    const expected = answer === 'inside' ? (same ? 'already' : 'refused') : answer
    await all((store) => store.append([ask]), { kind: expected })
  } else {
    model.beginSweep()
    for (const id of [...model.records.keys()]) {
      model.step(id, (record, now) => reducer.sweep(record as IdempotencyRecord, times.skewMs, now))
    }
    for (const store of stores) await sweepAll(store)
  }
}

/** Stores that see the same time, and how they are told of it. */
interface Compared {
  readonly clock: HostClock
  readonly runs: number
  /** A sweep raises the fence floor to the time, not only to what it purges: Redis removes records by itself, too. */
  readonly sweepKnowsTime?: true
  open(): Promise<{ readonly stores: () => readonly Store[]; readonly tell: () => Promise<void> }>
}

const closing: (() => Promise<void> | void)[] = []

afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

const compared: Readonly<Record<string, Compared>> = {
  'memory and LMDB': {
    clock,
    runs: 1_500,
    open: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'oncekey-model-'))
      const lmdb = lmdbStore(folder, { clock: { ...clock, bootId: () => 'one boot' } })
      closing.push(
        () => rmSync(folder, { recursive: true, force: true }),
        () => lmdb.close(),
      )
      return { stores: () => [memoryStore(clock), lmdb], tell: async () => undefined }
    },
  },
  'memory on one clock and PostgreSQL': {
    clock: oneClock,
    runs: 400,
    open: async () => {
      const server = await startPostgres()
      const admin = new pg.Pool({ connectionString: server.url, max: 1 })
      const opened = await openPostgres(admin, server.url, { time: 'us' })
      closing.push(
        () => server.stop(),
        () => admin.end(),
        () => opened.close(),
      )
      const tell = async (): Promise<void> => {
        await admin.query(`UPDATE ${quoted(opened.schema)}.test_clock SET us = $1`, [time.wall * 1000])
      }
      return { stores: () => [memoryStore(oneClock), opened.store], tell }
    },
  },
  Redis: {
    clock: oneClock,
    runs: 400,
    sweepKnowsTime: true,
    open: async () => {
      const { servers, tell } = await frozenRedis()
      const { store, close } = await openRedis(servers, clients.ioredis)
      closing.push(() => close())
      // A store's first look at its server raises the fence floor; that belongs to no run.
      await tell()
      await sweepAll(store)
      return { stores: () => [store], tell }
    },
  },
}

let redis: Promise<{ readonly servers: Servers; readonly tell: () => Promise<void> }> | undefined

/** One Redis, whose clock stands where this file's does. */
function frozenRedis(): NonNullable<typeof redis> {
  redis ??= startOne().then((servers) => {
    closing.push(() => servers.stop())
    return {
      servers,
      tell: async () => {
        for (const node of servers.nodes) freeze(node, time.wall)
      },
    }
  })
  return redis
}

const history = fc.array(command, { minLength: 5, maxLength: 40 })
let runs = 0

/** A run begins after every time there has been, for the fence floor of a database is that of all runs before it. */
function begin(): string {
  runs += 1
  time.wall = 1_800_000_000_000 + runs * 10_000_000
  return `run${runs}`
}

const claimed = {
  kind: 'claim',
  id: 0,
  attempt: 0,
  policy: policies.indexOf('resume'),
  other: 1,
  tombstoneMs: 0,
} as const
const settled = { kind: 'settle', id: 0, attempt: 0, offset: 0, digest: 0 } as const
const appended = { kind: 'append', id: 0, attempt: 0, bytes: Uint8Array.of(1) } as const

/** Told before the random ones: chance may need some thousand histories to come upon what these tell. */
const told: readonly Command[][] = [
  [claimed, { ...settled, as: 'step' }, { ...settled, as: 'completed' }],
  [claimed, { ...settled, as: 'completed' }, { ...claimed, attempt: 1, other: 0 }],
  [claimed, { ...settled, as: 'completed' }, { ...settled, as: 'completed', digest: 1 }],
  [
    claimed,
    { ...settled, as: 'head' },
    { ...appended, offset: 0 },
    { ...settled, as: 'dropped' },
    { ...appended, offset: 0 },
    { ...appended, offset: 1 },
  ],
  [
    claimed,
    { ...settled, as: 'head' },
    { ...appended, offset: 0 },
    { ...appended, offset: 0, bytes: Uint8Array.of(2) },
  ],
]

describe('the reducer and every store agree on every answer, record and byte', () => {
  for (const [name, { clock, runs, sweepKnowsTime, open }] of Object.entries(compared)) {
    test(name, { timeout: 240_000 }, async () => {
      const { stores: fresh, tell } = await open()
      const property = fc.asyncProperty(history, async (commands) => {
        const run = begin()
        await tell()
        const model = new Model(clock, sweepKnowsTime)
        const stores = fresh()
        for (const c of commands) {
          await apply(c, run, model, stores)
          if (c.kind === 'pass' || c.kind === 'back') await tell()
        }
        await same(run, model, stores)
      })
      await fc.assert(property, { numRuns: runs, examples: told.map((commands) => [commands]) })
    })
  }
})

function plainSteps(steps: ReadonlyMap<string, Uint8Array> | undefined): unknown {
  return [...(steps ?? [])].map(([name, value]) => [name, [...value]]).sort()
}

async function same(run: string, model: Model, stores: readonly Store[]): Promise<void> {
  for (const id of [idOf(0, run), idOf(1, run)]) {
    const expected = model.records.get(id)
    for (const store of stores) {
      const [read] = await store.read([id])
      expect(plain(read?.record ?? null), store.capabilities.name).toEqual(plain(expected ?? null))
      const kept = new Map((await store.steps(id)).map(({ name, value }) => [name, value]))
      expect(plainSteps(kept), `steps of ${store.capabilities.name}`).toEqual(plainSteps(model.steps.get(id)))
      if (expected === undefined || expected.bodyLength === 0) continue
      const whole = Buffer.concat(await store.readBody(id, expected.attemptId, 0))
      expect([...whole]).toEqual([...(model.bodies.get(id) ?? [])])
    }
  }
}

test('the control: a store that forgets to compare the attempt is told apart', async () => {
  const property = fc.asyncProperty(history, async (commands) => {
    const run = begin()
    const store = memoryStore(clock)
    const settle = store.settle.bind(store)
    store.settle = async (asks) => {
      const reads = await store.read(asks.map((ask) => ask.recordId))
      return settle(asks.map((ask, at) => ({ ...ask, attemptId: reads[at]?.record?.attemptId ?? ask.attemptId })))
    }
    const model = new Model(clock)
    for (const c of commands) await apply(c, run, model, [store])
  })
  expect((await fc.check(property, { numRuns: 250 })).failed).toBe(true)
})

const luaScripts = { claim, ...owners, ...others }

/** Guards of the Lua scripts, and what is left when each is taken out. (The sweeper's are behind the reducer's own.) */
const guards: readonly (readonly [guard: string, without: string])[] = [
  ['if not r or r.attemptId ~= ARGV[1] then return answer', 'if not r then return answer'],
  ['return now > r.leaseUntil + skewMs', 'return now > r.leaseUntil'],
  ['return r.onAbandoned ~= 0 or not r.dispatched', 'return true'],
  [
    'now >= math.max(r.outcomeExpiresAt, r.tombstoneExpiresAt)',
    'now > math.max(r.outcomeExpiresAt, r.tombstoneExpiresAt)',
  ],
  ['(former and former.fence or 0) + 1', '0'],
  ['ARGV[9] + 1', '0'],
  ['if same == fingerprint then return', 'if true then return'],
  ['and r.state == released and now >= r.retryAt', 'and r.state == released'],
  ['if former and not r.steps then remove() end', ''],
  ['steps = same and same.steps, hadSteps', 'hadSteps'],
  ["  if not unsettled(r) then return answer('fenced', r) end\n  r.steps, r.hadSteps", '  r.steps, r.hadSteps'],
  ['r.outcome, r.outcomeDigest, r.steps = outcome, digest, false', 'r.outcome, r.outcomeDigest = outcome, digest'],
  ['or offset ~= r.bodyLength then return answer', 'then return answer'],
  ['and r.outcomeDigest == digest then', 'then'],
  ["or offset ~= r.bodyLength then return 'refused'", "then return 'refused'"],
  ['or r.attemptId ~= ARGV[1] or r.dropped then', 'or r.attemptId ~= ARGV[1] then'],
  ["return there == bytes and 'already' or 'refused'", "return 'already'"],
  ["if r.attemptId ~= ARGV[1] then return answer('fenced', r) end\nif", 'if'],
  ['elseif not unsettled(r) then', 'elseif false then'],
  ["  if r.state ~= running then return answer('fenced', r) end\nelseif", 'elseif'],
  ['if mayRunAgain(r) and r.onAbandoned ~= 2 then', 'if mayRunAgain(r) then'],
  ['if mayRunAgain(r) and r.onAbandoned ~= 2 then', 'if true then'],
  [
    'r.state, r.headed, r.bodyLength, r.steps = expired, false,',
    'r.state, r.headed, r.bodyLength, r.steps = expired, r.headed,',
  ],
  ['if r.attemptId == ARGV[1] and r.state == running then', 'if r.state == running then'],
]

describe('the control for Redis: a script without one of its guards is told apart', () => {
  test('there is such a guard in some script, each', () => {
    const sources = Object.values(luaScripts).map(({ source }) => source)
    for (const [guard] of guards)
      expect(
        sources.filter((source) => source.includes(guard)),
        guard,
      ).not.toEqual([])
  })

  test.each(guards)('%s', { timeout: 240_000 }, async (guard, without) => {
    const { servers, tell } = await frozenRedis()
    const [server] = servers.nodes
    const client = new Redis({ port: server?.port ?? 0 })
    closing.push(() => client.disconnect())
    const store = redisStore(altered(client, guard, without))
    const property = fc.asyncProperty(history, async (commands) => {
      const run = begin()
      await tell()
      const model = new Model(oneClock, true)
      for (const c of commands) {
        await apply(c, run, model, [store])
        if (c.kind === 'pass' || c.kind === 'back') await tell()
      }
      await same(run, model, [store])
    })
    const found = await fc.check(property, {
      numRuns: 3_000,
      endOnFailure: true,
      examples: told.map((commands) => [commands]),
    })
    expect(found.failed).toBe(true)
  })
})

/** A client that runs each script with one text replaced. */
function altered(client: Redis, text: string, by: string): RedisClient {
  const sources = new Map(Object.values(luaScripts).map(({ sha, source }) => [sha, source.replace(text, () => by)]))
  return {
    isCluster: false,
    options: {},
    pipeline: () => client.pipeline(),
    callBuffer: (name, ...rest) => {
      const source = name === 'EVALSHA' ? sources.get(String(rest[0])) : undefined
      return source === undefined
        ? client.callBuffer(name, ...rest)
        : client.callBuffer('EVAL', source, ...rest.slice(1))
    },
  }
}
