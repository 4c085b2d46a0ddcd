/** The engine over a store that fails: what reaches the effect, and what callers get. */
import { describe, expect, test } from 'vitest'
import { type IdempotencyError, unreadable } from '../../src/core/errors.ts'
import type { Store } from '../../src/core/store.ts'
import { final } from '../../src/core/value.ts'
import { type CreateOptions, createIdempotency } from '../../src/platform/idempotency.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { type ManualClock, manualClock } from '../../src/testing/clock.ts'
import { type Fault, type FaultyCall, faultyStore } from '../../src/testing/faulty.ts'

interface World {
  readonly clock: ManualClock
  readonly store: Store
  engine(options?: Partial<CreateOptions>): ReturnType<typeof createIdempotency>
}

/** One store; every `engine()` is a process of its own on it. */
function world(plan?: (call: FaultyCall, count: number, ...args: readonly unknown[]) => Fault): World {
  const clock = manualClock()
  const memory = memoryStore({ wallMs: clock.wallMs, monotonicMs: clock.monotonicMs })
  const store = plan === undefined ? memory : faultyStore(memory, plan)
  const engine = (options: Partial<CreateOptions> = {}) =>
    createIdempotency({ store, clock, onAbandoned: 'unknown', pepper: new Uint8Array(32), ...options })
  return { clock, store, engine }
}

/** An effect that counts, and ends when it is told to. */
function effect<T>(value: T) {
  let end: (value: T) => void = () => undefined
  let fail: (error: unknown) => void = () => undefined
  const done = new Promise<T>((resolve, reject) => {
    end = resolve
    fail = reject
  })
  const counter = {
    count: 0,
    end: () => end(value),
    fail,
    run: () => {
      counter.count += 1
      return done
    },
  }
  return counter
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: IdempotencyError) => error.code ?? String(error),
  )
}

const operation = { key: 'order-4711', scope: 'charge', tenant: 'acme', input: { amount: 5 } }

describe('run', () => {
  test('executes once and replays the value, also in another process', async () => {
    const { engine } = world()
    const first = await engine().runDetailed(operation, async () => ({ id: 1 }))
    const second = await engine().runDetailed(operation, async () => ({ id: 2 }))
    expect(first).toMatchObject({ value: { id: 1 }, status: 'executed', attempt: 1, recorded: true })
    expect(second).toMatchObject({ value: { id: 1 }, status: 'replayed', fence: first.fence, recordId: first.recordId })
  })

  test('a hint of the store ends a wait before the poll would, and the watch ends with it', async () => {
    const { clock, store: memory } = world()
    const watching = new Set<() => void>()
    const store = faultyStore(memory, () => undefined)
    const hinting: Store = {
      ...store,
      settle: async (asks) => {
        const answers = await store.settle(asks)
        for (const hint of watching) hint()
        return answers
      },
      watch: (_, onHint) => {
        watching.add(onHint)
        return () => watching.delete(onHint)
      },
    }
    const process = () => createIdempotency({ store: hinting, clock, onAbandoned: 'reexecute' })
    const work = effect('done')
    const first = process().run(operation, work.run)
    await clock.advance(10)
    const second = process().runDetailed(operation, work.run)
    await clock.advance(5_000)
    expect(watching.size).toBe(1)
    const asked = store.calls.claim
    work.end()
    // No time passes: without the hint the next look would be up to a quarter of a second away.
    await clock.advance(0)
    expect(await second).toMatchObject({ value: 'done', status: 'joined' })
    await first
    expect([store.calls.claim - asked, watching.size]).toEqual([1, 0])
  })

  test('duplicates in one process share one execution and never touch the store', async () => {
    const clock = manualClock()
    const store = faultyStore(memoryStore({ wallMs: clock.wallMs, monotonicMs: clock.monotonicMs }), () => undefined)
    const once = createIdempotency({ store, clock, onAbandoned: 'unknown' })
    const work = effect('done')
    const all = Array.from({ length: 100 }, () => once.runDetailed(operation, work.run))
    await clock.advance(50)
    work.end()
    const results = await Promise.all(all)
    expect(work.count).toBe(1)
    expect(new Set(results.map((result) => result.value))).toEqual(new Set(['done']))
    expect(results.filter((result) => result.status === 'joined')).toHaveLength(99)
    expect(store.calls.claim).toBe(1)
  })

  test('a duplicate in another process waits and gets the recorded value', async () => {
    const { engine, clock } = world()
    const work = effect('done')
    const first = engine().run(operation, work.run)
    await clock.advance(10)
    const second = engine().runDetailed(operation, work.run)
    await clock.advance(1000)
    work.end()
    await first
    await clock.advance(1000)
    expect(await second).toMatchObject({ value: 'done', status: 'joined' })
    expect(work.count).toBe(1)
  })

  test('a duplicate that waited as long as allowed gets in_progress with a hint', async () => {
    const { engine, clock } = world()
    const work = effect('done')
    void engine().run(operation, work.run)
    await clock.advance(10)
    for (const process of [engine({ waitMs: 100 }), engine({ waitMs: 0 })]) {
      const waiting = codeOf(process.run(operation, work.run))
      await clock.advance(500)
      expect(await waiting).toBe('in_progress')
    }
    work.end()
  })

  test('I7 request binding: another input never executes and never gets the stored value', async () => {
    const { engine, clock } = world()
    const once = engine()
    const work = effect('done')
    const first = once.run(operation, work.run)
    await clock.advance(10)
    const other = { ...operation, input: { amount: 6 } }
    expect(await codeOf(once.run(other, work.run))).toBe('fingerprint_mismatch')
    expect(await codeOf(engine().run(other, work.run))).toBe('fingerprint_mismatch')
    work.end()
    await first
    expect(await codeOf(engine().run(other, work.run))).toBe('fingerprint_mismatch')
    expect(await engine().run(operation, work.run)).toBe('done')
    expect(work.count).toBe(1)
  })

  test('I8 isolation: tenants, scopes and keys that join to the same text are other operations', async () => {
    const { engine } = world()
    const once = engine()
    let count = 0
    for (const [tenant, scope, key] of [
      ['ab', 'c', 'd'],
      ['a', 'bc', 'd'],
      ['a', 'b', 'cd'],
      ['', 'abc', 'd'],
    ]) {
      await once.run({ tenant: tenant as string, scope: scope as string, key: key as string }, () => ++count)
    }
    expect(count).toBe(4)
  })

  test('a thrown error releases the record, a final one is recorded and thrown again', async () => {
    const { engine } = world()
    await expect(engine().run(operation, () => Promise.reject(new Error('network')))).rejects.toThrow('network')
    const declined = Object.assign(new RangeError('card declined'), { code: 'declined' })
    await expect(engine().run(operation, () => Promise.reject(final(declined)))).rejects.toThrow('card declined')
    const again = engine().run(operation, () => 'never')
    await expect(again).rejects.toMatchObject({ name: 'RangeError', message: 'card declined', code: 'declined' })
  })

  test('I4 at most once: an error thrown after dispatching is no proof that nothing happened, so it ends as unknown', async () => {
    const { engine } = world()
    const work = async (attempt: { dispatching(): Promise<void> }) => {
      await attempt.dispatching()
      throw new Error('socket hang up')
    }
    await expect(engine().run(operation, work)).rejects.toThrow('socket hang up')
    expect(await codeOf(engine().run(operation, () => 'again'))).toBe('outcome_unknown')
    const knows = engine({ classify: () => 'not_executed' })
    await expect(knows.run({ key: 'other' }, work)).rejects.toThrow('socket hang up')
    expect(await engine().run({ key: 'other' }, () => 'again')).toBe('again')
  })

  test('bytes, undefined and large values come back as they went', async () => {
    const { engine } = world()
    const large = 'x'.repeat(1_000_000)
    for (const [key, value] of [
      ['b', new Uint8Array([0, 255, 1])],
      ['u', undefined],
      ['l', large],
    ] as const) {
      expect(await engine().run({ key }, () => value)).toEqual(value)
      expect(await engine().run({ key }, () => 'other')).toEqual(value)
    }
  })

  test('after its retention a key executes as new, also for another input', async () => {
    const { engine, clock } = world()
    await engine({ retentionMs: 1000 }).run(operation, () => 1)
    await clock.advance(999)
    expect(await engine().run(operation, () => 2)).toBe(1)
    await clock.advance(2)
    expect(await engine().run({ ...operation, input: 'other' }, () => 3)).toBe(3)
  })

  test('with tombstones an expired key is refused', async () => {
    const { engine, clock } = world()
    await engine({ retentionMs: 1000, tombstoneMs: 1000 }).run(operation, () => 1)
    await clock.advance(1500)
    expect(await codeOf(engine().run(operation, () => 2))).toBe('outcome_expired')
    await clock.advance(1000)
    expect(await engine().run(operation, () => 3)).toBe(3)
  })
})

describe('a process dies', () => {
  /** A process that claims, perhaps dispatches, and is never heard of again: its store calls end. */
  async function die(shared: World, options: Partial<CreateOptions>, dispatches: boolean) {
    let dead = false
    const store = faultyStore(shared.store, () => (dead ? 'hang' : undefined))
    const begun = effect('never')
    const once = createIdempotency({
      store,
      clock: shared.clock,
      onAbandoned: 'unknown',
      pepper: new Uint8Array(32),
      ...options,
    })
    void once.run(operation, async (attempt) => {
      if (dispatches) await attempt.dispatching()
      return begun.run()
    })
    await shared.clock.advance(10)
    dead = true
    return begun
  }

  test('I4 at most once: under unknown, after dispatch, nobody runs it again', async () => {
    const shared = world()
    const dead = await die(shared, {}, true)
    const retry = codeOf(shared.engine().run(operation, dead.run))
    await shared.clock.advance(40_000)
    expect(await retry).toBe('outcome_unknown')
    expect(await codeOf(shared.engine().run(operation, dead.run))).toBe('outcome_unknown')
    expect(dead.count).toBe(1)
  })

  test('I5 explicit ending: under unknown, before dispatch, it is provably safe and runs', async () => {
    const shared = world()
    const dead = await die(shared, {}, false)
    const retry = shared.engine().runDetailed(operation, () => 'second')
    await shared.clock.advance(31_900)
    expect(dead.count).toBe(1)
    await shared.clock.advance(1_000)
    expect(await retry).toMatchObject({ value: 'second', attempt: 2 })
  })

  test('under reexecute the next one takes over once lease and margin are over, not before', async () => {
    const shared = world()
    await die(shared, { onAbandoned: 'reexecute' }, true)
    let count = 0
    const retry = shared.engine({ onAbandoned: 'reexecute' }).runDetailed(operation, () => ++count)
    await shared.clock.advance(31_900)
    expect(count).toBe(0)
    await shared.clock.advance(400)
    expect(await retry).toMatchObject({ value: 1, status: 'executed', attempt: 2 })
  })

  test('under reconcile the next attempt is told to ask the provider first', async () => {
    const shared = world()
    await die(shared, { onAbandoned: 'reconcile' }, true)
    const retry = shared.engine({ onAbandoned: 'reconcile' }).run(operation, (attempt) => attempt.recovering)
    await shared.clock.advance(40_000)
    expect(await retry).toBe(true)
  })

  test("the recorded policy decides, never the asker's", async () => {
    const shared = world()
    const dead = await die(shared, { onAbandoned: 'unknown' }, true)
    const retry = codeOf(shared.engine({ onAbandoned: 'reexecute' }).run(operation, dead.run))
    await shared.clock.advance(40_000)
    expect(await retry).toBe('outcome_unknown')
  })

  test('an operator resolves an unknown record, and the value replays', async () => {
    const shared = world()
    const dead = await die(shared, {}, true)
    await shared.clock.advance(40_000)
    await codeOf(shared.engine().run(operation, dead.run))
    const once = shared.engine()
    const record = await once.inspect(operation)
    expect(record?.state).toBe('unknown')
    if (record === undefined) return
    const { recordId } = await shared.engine().runDetailed({ ...operation, key: 'other' }, () => 0)
    expect(await once.resolve(recordId, record, { released: true })).toBe('fenced')
    const id = (await findId(shared.store)) as string
    expect(await once.resolve(id, record, { value: 'charged' })).toBe('recorded')
    expect(await once.run(operation, dead.run)).toBe('charged')
    expect(await once.resolve(id, record, { released: true })).toBe('fenced')
  })

  async function findId(store: Store): Promise<string | undefined> {
    return (await store.scan(undefined, { limit: 10, state: 'unknown' })).entries[0]?.recordId
  }
})

describe('an owner that is late', () => {
  /** The owner's process stops for longer than its lease: its clock and store stand still, then go on. */
  async function pausedOwner(shared: World, onAbandoned: 'reexecute' | 'unknown') {
    const clock = manualClock()
    const once = createIdempotency({ store: shared.store, clock, onAbandoned, pepper: new Uint8Array(32) })
    const work = effect('late')
    let fence = 0
    const late = once.runDetailed(operation, async (attempt) => {
      fence = attempt.fence
      await attempt.dispatching()
      return work.run()
    })
    await shared.clock.advance(10)
    return { late, work, clock, fence: () => fence }
  }

  test('I3 fencing: it cannot overwrite what a newer attempt recorded, and gets the recorded value itself', async () => {
    const shared = world()
    const { late, work, fence } = await pausedOwner(shared, 'reexecute')
    await shared.clock.advance(33_000)
    const newer = await shared.engine({ onAbandoned: 'reexecute' }).runDetailed(operation, () => 'newer')
    work.end()
    expect(await late).toMatchObject({ value: 'newer', status: 'replayed' })
    expect(newer.fence).toBeGreaterThan(fence())
    expect(await shared.engine().run(operation, () => 'third')).toBe('newer')
  })

  test('late truth ends its own unknown record', async () => {
    const shared = world()
    const { late, work } = await pausedOwner(shared, 'unknown')
    await shared.clock.advance(33_000)
    expect(await codeOf(shared.engine().run(operation, () => 'second'))).toBe('outcome_unknown')
    work.end()
    expect(await late).toMatchObject({ value: 'late', status: 'executed', recorded: true })
    expect(await shared.engine().run(operation, () => 'third')).toBe('late')
  })

  test('its signal fires when the lease is lost', async () => {
    let down = false
    const shared = world((call) => (down && call === 'renew' ? 'fail' : undefined))
    const work = effect('x')
    let signal: AbortSignal | undefined
    void shared.engine().run(operation, (attempt) => {
      signal = attempt.signal
      return work.run()
    })
    await shared.clock.advance(25_000)
    expect(signal?.aborted).toBe(false)
    down = true
    await shared.clock.advance(30_000)
    expect(signal?.aborted).toBe(true)
    expect((signal as unknown as AbortSignal).reason.message).toContain('lease')
    work.end()
  })

  test('a live owner keeps its lease for as long as it runs', async () => {
    const shared = world()
    const work = effect('x')
    const first = shared.engine({ onAbandoned: 'reexecute' }).run(operation, work.run)
    await shared.clock.advance(10)
    const second = shared.engine({ onAbandoned: 'reexecute', waitMs: 1e9 }).run(operation, work.run)
    await shared.clock.advance(600_000)
    work.end()
    await shared.clock.advance(1_000)
    expect(await Promise.all([first, second])).toEqual(['x', 'x'])
    expect(work.count).toBe(1)
  })
})

describe('the store fails', () => {
  const lossy: readonly FaultyCall[] = ['claim', 'settle', 'meta']
  for (const lost of lossy) {
    test(`I6 lost answers: losing the first answer of ${lost} changes nothing but latency`, async () => {
      const shared = world((call, count) => (call === lost && count === 1 ? 'lose' : undefined))
      const once = shared.engine(lost === 'meta' ? { pepper: undefined as unknown as Uint8Array } : {})
      const work = effect('done')
      const attempt = once.runDetailed(operation, async (running) => {
        await running.dispatching()
        return work.run()
      })
      await shared.clock.advance(3_000)
      work.end()
      await shared.clock.advance(3_000)
      if (lost === 'meta') {
        expect(await codeOf(attempt)).not.toBe('resolved')
        expect(await once.run(operation, () => 'second try')).toBe('second try')
        return
      }
      expect(await attempt).toMatchObject({ value: 'done', status: 'executed', recorded: true, attempt: 1 })
      expect(work.count).toBe(1)
    })
  }

  test('calls that happen twice change nothing', async () => {
    const shared = world((call) => (call === 'claim' || call === 'settle' || call === 'renew' ? 'twice' : undefined))
    let count = 0
    const once = shared.engine()
    expect(
      await once.run(operation, async (attempt) => {
        await attempt.dispatching()
        return ++count
      }),
    ).toBe(1)
    expect(await once.run(operation, () => ++count)).toBe(1)
  })

  test('a claim that cannot be made fails closed inside the budget, and nothing is executed', async () => {
    const shared = world((call) => (call === 'claim' ? 'fail' : undefined))
    const work = effect('x')
    const refused = codeOf(shared.engine().run(operation, work.run))
    await shared.clock.advance(6_000)
    expect(await refused).toBe('store_unavailable')
    expect(work.count).toBe(0)
  })

  test('a claim that was granted behind a lost answer is given back, so that the key is free again', async () => {
    let down = true
    const shared = world((call) =>
      !down ? undefined : call === 'claim' ? 'lose' : call === 'settle' ? 'fail' : undefined,
    )
    const refused = codeOf(shared.engine().run(operation, () => 1))
    await shared.clock.advance(6_000)
    expect(await refused).toBe('store_unavailable')
    down = false
    await shared.clock.advance(1_500)
    expect(await shared.engine().runDetailed(operation, () => 2)).toMatchObject({ value: 2, attempt: 2 })
  })

  test('one who shared an execution that could not be recorded is told so', async () => {
    const shared = world((call) => (call === 'settle' ? 'fail' : undefined))
    const once = shared.engine({ onAbandoned: 'reexecute' })
    const work = effect('paid')
    const both = [once.runDetailed(operation, work.run), once.runDetailed(operation, work.run)]
    await shared.clock.advance(10)
    work.end()
    await shared.clock.advance(6_000)
    expect(await Promise.all(both)).toMatchObject([
      { value: 'paid', status: 'executed', recorded: false },
      { value: 'paid', status: 'joined', recorded: false },
    ])
    expect(work.count).toBe(1)
  })

  test('with failOpen it runs unprotected, and says so', async () => {
    const shared = world((call) => (call === 'claim' ? 'fail' : undefined))
    const open = shared.engine({ failOpen: true }).runDetailed(operation, () => 'x')
    await shared.clock.advance(6_000)
    expect(await open).toMatchObject({ value: 'x', status: 'bypassed', recorded: false })
  })

  test('before it could be asked for its pepper is store_unavailable too, or let pass with failOpen', async () => {
    const shared = world((call) => (call === 'meta' ? 'fail' : undefined))
    let executed = 0
    const execute = (): number => ++executed
    expect(await codeOf(shared.engine().run(operation, execute))).toBe('store_unavailable')
    expect(executed).toBe(0)
    expect(await shared.engine({ failOpen: true }).runDetailed(operation, execute)).toMatchObject({
      value: 1,
      status: 'bypassed',
    })
  })

  test('an effect is not begun when "it may have begun" could not be recorded', async () => {
    const shared = world((call) => (call === 'settle' ? 'fail' : undefined))
    let begun = 0
    const refused = codeOf(
      shared.engine().run(operation, async (attempt) => {
        await attempt.dispatching()
        begun += 1
      }),
    )
    await shared.clock.advance(20_000)
    expect(await refused).toBe('store_unavailable')
    expect(begun).toBe(0)
  })

  test('a paid value reaches its caller though the settle fails, marked unrecorded, and is recorded behind it', async () => {
    let down = true
    const shared = world((call) => (call === 'settle' && down ? 'fail' : undefined))
    const paid = shared.engine({ onAbandoned: 'reexecute' }).runDetailed(operation, () => 'paid')
    await shared.clock.advance(4_900)
    let early = false
    void paid.then(() => {
      early = true
    })
    await shared.clock.advance(1)
    expect(early).toBe(false)
    await shared.clock.advance(200)
    expect(await paid).toMatchObject({ value: 'paid', status: 'executed', recorded: false })
    down = false
    await shared.clock.advance(2_000)
    expect(await shared.engine().run(operation, () => 'again')).toBe('paid')
  })

  test('a record that cannot be read fails its own operation, not those that were asked about beside it', async () => {
    let bad = ''
    const shared = world()
    const claim = shared.store.claim.bind(shared.store)
    shared.store.claim = async (asks) => {
      if (asks.some((ask) => ask.recordId === bad)) throw unreadable()
      return claim(asks)
    }
    bad = (await shared.engine().runDetailed({ key: 'bad' }, () => 0)).recordId
    const once = shared.engine()
    const refused = codeOf(once.run({ key: 'bad' }, () => 1))
    const others = ['a', 'b', 'c'].map((key) => once.run({ key }, () => key))
    await shared.clock.advance(1)
    expect(await Promise.all(others)).toEqual(['a', 'b', 'c'])
    await shared.clock.advance(10_000)
    expect(await refused).toBe('store_unavailable')
  })

  test('a call that never answers counts as failed after two seconds and does not hold up the next', async () => {
    const shared = world((call, count) => (call === 'claim' && count === 1 ? 'hang' : undefined))
    const slow = shared.engine().run(operation, () => 'x')
    await shared.clock.advance(1_900)
    await shared.clock.advance(300)
    expect(await slow).toBe('x')
  })
})

describe('the engine', () => {
  test('refuses another pepper on the same store', async () => {
    const shared = world()
    await shared.engine().run(operation, () => 1)
    expect(await codeOf(shared.engine({ pepper: new Uint8Array(32).fill(1) }).run(operation, () => 2))).toBe(
      'config_invalid',
    )
    expect(() => shared.engine({ leaseMs: 499 })).toThrow('leaseMs')
    expect(() => createIdempotency({ store: shared.store } as unknown as CreateOptions)).toThrow('onAbandoned')
  })

  test('caps those who wait, and lets them in again when there is room', async () => {
    const shared = world()
    const once = shared.engine()
    const work = effect('x')
    const first = once.run(operation, work.run)
    await shared.clock.advance(1)
    const waiting = Array.from({ length: 1_000 }, () => once.run(operation, work.run))
    await shared.clock.advance(1)
    expect(await codeOf(once.run(operation, work.run))).toBe('too_many_waiting')
    work.end()
    await first
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['x']))
    expect(await once.run(operation, work.run)).toBe('x')
  })

  test('I12 liveness: the sweeper ends what nobody asks for', async () => {
    const shared = world()
    let dead = false
    const store = faultyStore(shared.store, () => (dead ? 'hang' : undefined))
    const once = createIdempotency({
      store,
      clock: shared.clock,
      onAbandoned: 'unknown',
      retentionMs: 100_000,
      pepper: new Uint8Array(32),
    })
    void once.run(operation, async (attempt) => {
      await attempt.dispatching()
      return effect(1).run()
    })
    await shared.clock.advance(10)
    dead = true
    const alive = shared.engine()
    await shared.clock.advance(130_000)
    expect((await alive.inspect(operation))?.state).toBe('unknown')
    await shared.clock.advance(300_000)
    expect(await alive.inspect(operation)).toBeUndefined()
    await alive.close()
  })

  test('close tells running work, waits for it, and stops the sweeper', async () => {
    const shared = world()
    const once = shared.engine()
    const work = effect('x')
    let told = false
    const running = once.run(operation, (attempt) => {
      attempt.signal.addEventListener('abort', () => {
        told = true
      })
      return work.run()
    })
    await shared.clock.advance(1)
    const closing = once.close()
    await shared.clock.advance(1)
    expect(told).toBe(true)
    work.end()
    await closing
    expect(await running).toBe('x')
  })
})
