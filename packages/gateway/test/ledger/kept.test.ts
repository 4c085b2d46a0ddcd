/** What tenants keep, over processes, restarts and days: when they are refused, and that nothing is forgotten too early. */
import fc from 'fast-check'
import { memoryStore, type Store } from 'oncekey'
import type { IdempotencyError } from 'oncekey/http'
import { faultyStore } from 'oncekey/testing'
import { describe, expect, it } from 'vitest'
import { Ledger, type RequestAccount, type Share, summarise } from '../../src/ledger/index.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Processes on one store and one clock. */
class World {
  readonly store: Store = memoryStore()
  nowMs: number = Date.UTC(2026, 10, 24, 12)
  /** How long each read of the store takes. */
  readMs = 0
  reads = 0
  #writers = 0

  open(share: Partial<Share>, store: Pick<Store, 'tally' | 'tallies'> = this.store): Process {
    return new Process(this, { records: undefined, bytes: undefined, ...share }, `w${this.#writers++}`, store)
  }
}

class Process {
  readonly ledger: Ledger
  readonly inexact: string[] = []
  readonly waiting = new Map<() => void, number>()

  constructor(world: World, share: Share, writer: string, store: Pick<Store, 'tally' | 'tallies'>) {
    this.ledger = new Ledger({
      store: {
        tally: (tallies) => store.tally(tallies),
        tallies: (cursor, prefix) => {
          world.reads += 1
          world.nowMs += world.readMs
          return store.tallies(cursor, prefix)
        },
      },
      writer,
      prices: new Map(),
      wallMs: () => world.nowMs,
      later: (delayMs, run) => {
        this.waiting.set(run, delayMs)
        return () => void this.waiting.delete(run)
      },
      failed: () => undefined,
      keeping: {
        share,
        digest: (tenant) => Buffer.from(tenant).toString('base64url'),
        monotonicMs: () => world.nowMs,
        fraction: () => 0.5,
        inexact: (error) => this.inexact.push(String(error)),
      },
    })
  }

  begin(tenant = 'given:acme'): RequestAccount {
    const body = new TextEncoder().encode('{"model":"m"}')
    const account = this.ledger.account({ upstream: '', method: 'POST', path: '/v1/x', headers: [], body })
    account.named(tenant, 'id')
    account.granted(1, 'claim')
    return account
  }

  /** An execution ends with an outcome of so many bytes; null: with none. */
  record(bytes: number | null = 100, keptMs: number = dayMs): void {
    const ending = bytes === null ? 'not_executed' : 'final'
    const keptBytes = bytes ?? undefined
    this.begin().executed({ class: ending, status: 200, usage: undefined, drained: false, keptBytes, keptMs })
  }

  refused(tenant = 'given:acme'): IdempotencyError | undefined {
    return this.ledger.kept?.admits(tenant)
  }

  /** Lets what waits run, and what that sets going settle. */
  async run(): Promise<void> {
    const due = [...this.waiting.keys()]
    this.waiting.clear()
    for (const run of due) run()
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

const rowsOf = async (store: Store): Promise<number> => (await store.tallies(undefined, '["kept"')).tallies.length

describe('a tenant’s share', () => {
  it('is of records, counted as they are recorded, whatever their size, and nobody else’s', () => {
    const process = new World().open({ records: 3 })
    for (const bytes of [1_000_000, 0]) process.record(bytes)
    process.record(null)
    expect(process.refused()).toBeUndefined()
    process.record(1)
    expect(process.refused()).toMatchObject({ code: 'quota_exceeded', status: 429 })
    expect(process.refused('given:acme ')).toBeUndefined()
    expect(process.refused('credential:acme')).toBeUndefined()
  })

  it('is of bytes, of those that are there', () => {
    const process = new World().open({ bytes: 1_000 })
    for (let at = 0; at < 500; at++) process.record(0)
    process.record(999)
    expect(process.refused()).toBeUndefined()
    process.record(1)
    expect(process.refused()?.message).toMatch(/1000 bytes of recorded outcomes, is taken\. .* in 24 h/)
  })

  it('is free again when the retention is over, at most a part in twenty-four late, over the change of a day', () => {
    const world = new World()
    const process = world.open({ records: 2 })
    world.nowMs += 30 * 60_000
    process.record()
    world.nowMs += 10 * hourMs
    process.record()
    world.nowMs += 14 * hourMs - 1
    expect(process.refused()).toBeDefined()
    world.nowMs += hourMs
    expect(process.refused()).toBeUndefined()
    process.record()
    expect(process.refused()).toBeDefined()
  })

  it('goes by how long each outcome is kept', () => {
    const world = new World()
    const process = world.open({ records: 10 })
    for (let at = 0; at < 9; at++) process.record(1, 600_000)
    process.record(1, 72 * hourMs)
    expect(process.refused()).toBeDefined()
    world.nowMs += 600_000 + 25_000
    for (let at = 0; at < 8; at++) process.record()
    expect(process.refused()).toBeUndefined()
    process.record()
    world.nowMs += 2 * dayMs
    for (let at = 0; at < 9; at++) process.record()
    expect(process.refused()).toBeDefined()
    world.nowMs += 28 * hourMs
    expect(process.refused()).toBeUndefined()
  })

  it('takes retentions that no calendar has', () => {
    const process = new World().open({ records: 2 })
    process.record(1, 1)
    process.record(1, Number.MAX_SAFE_INTEGER)
    expect(process.refused()?.message).toMatch(/in 1 s/)
  })

  it('says when to come again, and tells a client to retry only where that is soon', () => {
    const world = new World()
    const process = world.open({ records: 4, bytes: 1_000 })
    process.record(900, 30_000)
    for (let at = 0; at < 3; at++) process.record(0)
    expect(process.refused()).toMatchObject({ retryable: true, details: { retryAfterMs: 30_000 } })
    expect(process.refused()?.message).toMatch(
      /^Your share of this gateway, 4 recorded outcomes, is taken\. .* in 30 s/,
    )
    process.record(100)
    expect(process.refused()).toMatchObject({ retryable: false, details: { retryAfterMs: dayMs } })
    expect(process.refused()?.message).toMatch(/4 recorded outcomes, is taken.* in 24 h/)
  })

  it('holds a place for what runs, and gives it back however that ends', () => {
    const process = new World().open({ records: 2 })
    const [one, other] = [process.begin(), process.begin()]
    expect(process.refused()).toMatchObject({ retryable: true, details: { retryAfterMs: 1_000 } })
    one.ended()
    one.ended()
    expect(process.refused()).toBeUndefined()
    other.executed({ class: 'final', status: 200, usage: undefined, drained: false, keptBytes: 5, keptMs: dayMs })
    other.ended()
    expect(process.refused()).toBeUndefined()
    process.begin()
    expect(process.refused()).toBeDefined()
  })
})

describe('over processes', () => {
  it('what others have recorded counts after the next read, and once', async () => {
    const world = new World()
    const [one, other] = [world.open({ records: 5 }), world.open({ records: 5 })]
    await one.ledger.kept?.start()
    await other.ledger.kept?.start()
    for (const process of [one, one, other, other]) process.record()
    for (const process of [one, other]) expect(process.refused()).toBeUndefined()
    for (let round = 0; round < 3; round++) {
      for (const process of [one, other]) await process.run()
    }
    for (const process of [one, other]) {
      expect(process.refused()).toBeUndefined()
      process.record()
      expect(process.refused()).toBeDefined()
    }
  })

  it('a process that starts knows what was there, and what is gone', async () => {
    const world = new World()
    for (let at = 0; at < 3; at++) {
      const process = world.open({ records: 9 })
      process.record()
      await process.ledger.close()
    }
    const next = world.open({ records: 3 })
    await next.ledger.kept?.start()
    expect(next.refused()).toBeDefined()
    world.nowMs += 25 * hourMs
    expect(next.refused()).toBeUndefined()
    const later = world.open({ records: 1 })
    await later.ledger.kept?.start()
    expect(later.refused()).toBeUndefined()
  })

  for (const fault of ['fail', 'lose', 'twice'] as const) {
    it(`nothing is lost or counted twice where a call of the store should ${fault}`, async () => {
      const world = new World()
      const store = faultyStore(world.store, (call, count) => (call === 'tally' && count <= 2 ? fault : undefined))
      const process = world.open({ records: 9 }, store)
      for (let at = 0; at < 4; at++) {
        process.record()
        await process.run()
      }
      await process.ledger.close()
      const [exact, less] = [world.open({ records: 4 }), world.open({ records: 5 })]
      for (const next of [exact, less]) await next.ledger.kept?.start()
      expect([exact.refused() !== undefined, less.refused() !== undefined]).toEqual([true, false])
    })
  }

  it('a read that fails is told once, and the quota goes by what is known until one succeeds', async () => {
    const world = new World()
    let away = false
    const store: Pick<Store, 'tally' | 'tallies'> = {
      tally: (tallies) => world.store.tally(tallies),
      tallies: async (...asks) => {
        if (away) throw new Error('away')
        return world.store.tallies(...asks)
      },
    }
    const [one, other] = [world.open({ records: 2 }, store), world.open({ records: 9 })]
    other.record()
    await other.run()
    await one.ledger.kept?.start()
    away = true
    other.record()
    await other.run()
    for (let round = 0; round < 3; round++) await one.run()
    expect([one.inexact, one.refused()]).toEqual([['Error: away'], undefined])
    one.record()
    expect(one.refused()).toBeDefined()
    world.nowMs += 26 * hourMs
    other.record()
    other.record()
    await other.run()
    away = false
    await one.run()
    await one.run()
    expect([one.inexact.length, one.refused()?.code]).toEqual([1, 'quota_exceeded'])
    away = true
    const late = world.open({ records: 2 }, store)
    await expect(late.ledger.kept?.start()).rejects.toThrow('away')
  })

  it('reads every two seconds, and is never busy with it for more than a twentieth of the time', async () => {
    const world = new World()
    const process = world.open({ records: 9 })
    await process.ledger.kept?.start()
    expect([...process.waiting.values()]).toEqual([2_000])
    world.readMs = 900
    await process.run()
    expect([...process.waiting.values()]).toEqual([18_000])
    world.readMs = 3_600_000
    await process.run()
    expect([...process.waiting.values()]).toEqual([300_000])
    await process.ledger.close()
    expect(process.waiting.size).toBe(0)
  })
})

describe('in the store', () => {
  it('a process removes what is over, and the ledger what dead ones have left, a day later', async () => {
    const world = new World()
    const dead = world.open({ records: 9 })
    dead.record(1, hourMs)
    await dead.run()
    const process = world.open({ records: 9 })
    await process.ledger.kept?.start()
    process.record(1, hourMs)
    await process.run()
    expect(await rowsOf(world.store)).toBe(2)
    world.nowMs += 2 * hourMs
    await process.run()
    await process.run()
    expect(await rowsOf(world.store)).toBe(1)
    world.nowMs += 2 * dayMs
    process.record(null)
    for (let round = 0; round < 3; round++) await process.run()
    expect(await rowsOf(world.store)).toBe(0)
  })

  it('it is no part of the bill, and a process that has it counts as the one that has not', async () => {
    const bills = []
    for (const share of [{ records: 9 }, {}]) {
      const world = new World()
      const process = world.open(share)
      for (const bytes of [5, 5, null]) process.record(bytes)
      await process.ledger.close()
      bills.push(await summarise(world.store, { by: ['day', 'tenant', 'route', 'model'] }))
    }
    expect(bills[0]).toEqual(bills[1])
    expect(bills[0]?.lines.map(({ of }) => of.tenant)).toEqual(['acme'])
  })

  it('the control: without a quota nothing of it is counted or written', async () => {
    const store = memoryStore()
    const parts = { store, writer: 'w', prices: new Map(), wallMs: () => 0, failed: () => undefined }
    const ledger = new Ledger({ ...parts, later: () => () => undefined })
    const body = new Uint8Array(0)
    const account = ledger.account({ upstream: '', method: 'POST', path: '/', headers: [], body })
    account.named('given:acme', 'id')
    account.executed({ class: 'final', status: 200, usage: undefined, drained: false, keptBytes: 1, keptMs: dayMs })
    await ledger.close()
    expect([ledger.kept, (await store.tallies(undefined)).tallies.length]).toEqual([undefined, 1])
  })
})

it('a tenant is refused while it has its share, and is not when a part in twenty-four ago it had less', () => {
  const step = fc.record({
    waitMs: fc.integer({ min: 0, max: 8 * hourMs }),
    keptMs: fc.constantFrom(600_000, 6 * hourMs, dayMs),
    bytes: fc.integer({ min: 0, max: 50 }),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (steps, most) => {
      const world = new World()
      const [byRecords, byBytes] = [world.open({ records: most }), world.open({ bytes: most * 25 })]
      const kept: { endMs: number; keptMs: number; bytes: number }[] = []
      for (const { waitMs, keptMs, bytes } of steps) {
        world.nowMs += waitMs
        const there = kept.filter(({ endMs }) => endMs > world.nowMs)
        const longer = kept.filter(({ endMs, keptMs }) => endMs + Math.max(keptMs / 24, 1_000) > world.nowMs)
        const sizes = [there, longer].map((some) => some.reduce((sum, one) => sum + one.bytes, 0))
        if (there.length >= most) expect(byRecords.refused()).toBeDefined()
        if (longer.length < most) expect(byRecords.refused()).toBeUndefined()
        if ((sizes[0] ?? 0) >= most * 25) expect(byBytes.refused()).toBeDefined()
        if ((sizes[1] ?? 0) < most * 25) expect(byBytes.refused()).toBeUndefined()
        for (const process of [byRecords, byBytes]) process.record(bytes, keptMs)
        kept.push({ endMs: world.nowMs + keptMs, keptMs, bytes })
      }
    }),
    { numRuns: 300 },
  )
})
