/** What comes too late, and what cannot be kept: neither may be paid twice. */
import { describe, expect, test } from 'vitest'
import type { IdempotencyError } from '../../src/core/errors.ts'
import { type CreateOptions, createIdempotency } from '../../src/platform/idempotency.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { faultyStore } from '../../src/testing/faulty.ts'

const operation = { key: 'order-4711' }

function world() {
  const clock = manualClock()
  const memory = memoryStore({ wallMs: clock.wallMs, monotonicMs: clock.monotonicMs })
  const engine = (store = memory, options: Partial<CreateOptions> = {}) =>
    createIdempotency({
      store,
      clock,
      onAbandoned: 'reexecute',
      pepper: new Uint8Array(32),
      leaseMs: 1_000,
      skewMs: 0,
      ...options,
    })
  return { clock, memory, engine }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: IdempotencyError) => error.code ?? String(error),
  )
}

describe('a claim whose answer comes when its lease may be over', () => {
  /** A store whose first claim is answered only when `arrive` is called. */
  function slow(memory: ReturnType<typeof memoryStore>) {
    let arrive: () => void = () => undefined
    const late = new Promise<void>((resolve) => {
      arrive = resolve
    })
    let first = true
    const store: typeof memory = {
      ...faultyStore(memory, () => undefined),
      claim: async (asks) => {
        const answers = await memory.claim(asks)
        if (first) {
          first = false
          await late
        }
        return answers
      },
    }
    return { store, arrive: () => arrive() }
  }

  test('does not execute beside the one who took over: it waits for that one’s outcome', async () => {
    const { clock, memory, engine } = world()
    const { store, arrive } = slow(memory)
    const paid: string[] = []
    // The answer is under way for 1.5 s, less than a store call may take and more than the lease.
    const frozen = engine(store).runDetailed(operation, async () => {
      paid.push('frozen')
      return 'frozen'
    })
    await clock.advance(1_500)
    let end: (value: string) => void = () => undefined
    const second = engine().run(operation, () => {
      paid.push('second')
      return new Promise<string>((resolve) => {
        end = resolve
      })
    })
    await clock.advance(10)
    arrive()
    await clock.advance(300)
    expect(paid).toEqual(['second'])
    end('second')
    await clock.advance(2_000)
    expect(await second).toBe('second')
    expect(await frozen).toMatchObject({ value: 'second', status: 'joined' })
  })

  test('executes where nobody took over, under a lease that it has asked for anew', async () => {
    const { clock, memory, engine } = world()
    const { store, arrive } = slow(memory)
    const frozen = engine(store).runDetailed(operation, (attempt) => attempt.signal.aborted)
    await clock.advance(1_500)
    arrive()
    await clock.advance(10)
    expect(await frozen).toMatchObject({ value: false, status: 'executed', attempt: 1 })
  })
})

describe('a value that cannot be recorded', () => {
  test('was executed all the same: its caller is told why, and nobody executes it again', async () => {
    const { clock, engine } = world()
    const once = engine()
    let ran = 0
    const run = () =>
      once.run(operation, () => {
        ran += 1
        return 10n
      })
    expect(await codeOf(run())).toBe('config_invalid')
    expect(await codeOf(run())).toBe('outcome_not_replayable')
    await clock.advance(60_000)
    expect(await codeOf(engine().run(operation, () => 1))).toBe('outcome_not_replayable')
    expect(ran).toBe(1)
    // Nothing keeps its lease alive any more.
    await once.close()
  })
})
