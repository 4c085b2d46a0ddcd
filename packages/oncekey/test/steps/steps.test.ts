/** Recorded steps: what runs again after a crash, what never does, and what is told when they are not the same. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { IdempotencyError } from '../../src/core/errors.ts'
import type { RunningAttempt } from '../../src/core/running.ts'
import { final } from '../../src/core/value.ts'
import { type CreateOptions, createIdempotency } from '../../src/platform/idempotency.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { type Fault, type FaultyCall, faultyStore } from '../../src/testing/faulty.ts'

const takeableMs = 33_000
const operation = { key: 'document-1', scope: 'index' }
const never = new Promise<never>(() => undefined)

// The code of steps comes with the first of them, and a clock that is moved by hand would not wait for it.
beforeAll(async () => {
  const once = createIdempotency({ store: memoryStore(), onAbandoned: 'resume' })
  expect(await once.run(operation, (attempt) => attempt.step('first', () => 1))).toBe(1)
  await once.close()
})

/** Processes on one store. One that crashes is heard of no more: its store never answers it again. */
function world(plan: (call: FaultyCall, count: number, ...args: readonly unknown[]) => Fault = () => undefined) {
  const clock = manualClock()
  const memory = memoryStore({ wallMs: clock.wallMs, monotonicMs: clock.monotonicMs })
  const calls = { steps: 0, settle: 0 }
  const start = (options: Partial<CreateOptions> = {}) => {
    let crashed = false
    const store = faultyStore(memory, (call, count, ...args) => {
      if (crashed) return 'hang'
      if (call === 'steps' || call === 'settle') calls[call] += 1
      return plan(call, count, ...args)
    })
    const once = createIdempotency({ store, clock, onAbandoned: 'resume', pepper: new Uint8Array(32), ...options })
    return {
      run: (execute: (attempt: RunningAttempt) => unknown) => once.runDetailed(operation, execute),
      crash: () => {
        crashed = true
      },
      once,
    }
  }
  return { clock, start, calls, memory }
}

/** Runs in a process that dies when `execute` comes to a promise that never ends. */
async function crashing(
  { clock, start }: ReturnType<typeof world>,
  execute: (attempt: RunningAttempt) => unknown,
  options: Partial<CreateOptions> = {},
): Promise<void> {
  const process = start(options)
  void process.run(execute).catch(() => undefined)
  await clock.advance(10)
  process.crash()
  await clock.advance(takeableMs)
}

async function errorOf(promise: Promise<unknown>): Promise<IdempotencyError> {
  return promise.then(
    (value) => {
      throw new Error(`resolved to ${JSON.stringify(value)}`)
    },
    (error: IdempotencyError) => error,
  )
}

/** An effect that notes what was paid for. */
function bill() {
  const paid: string[] = []
  const pay =
    (what: string, made: unknown = `${what}!`) =>
    () => {
      paid.push(what)
      return made
    }
  return { paid, pay }
}

describe('after a crash', () => {
  test('resume runs only what is missing, and every recorded value comes back as it was', async () => {
    const here = world()
    const { paid, pay } = bill()
    const bytes = new Uint8Array([0, 255, 10, 13])
    const pipeline = (last: () => unknown) => async (attempt: RunningAttempt) => [
      await attempt.step('json', () => ({ made: pay('json')() })),
      await attempt.step('bytes', pay('bytes', bytes)),
      await attempt.step('nothing', () => void pay('nothing')()),
      await attempt.step('last', last),
    ]
    await crashing(
      here,
      pipeline(() => never),
    )
    const done = await here.start().run(pipeline(pay('last')))
    expect(done).toMatchObject({ status: 'executed', attempt: 2 })
    expect(done.value).toEqual([{ made: 'json!' }, bytes, undefined, 'last!'])
    expect(paid).toEqual(['json', 'bytes', 'nothing', 'last'])
  })

  test('the control: without steps everything is paid again', async () => {
    const here = world()
    const { paid, pay } = bill()
    await crashing(here, async () => {
      pay('one')()
      await never
    })
    await here.start().run(async () => pay('one')())
    expect(paid).toEqual(['one', 'one'])
  })

  test('a stream is recorded whole, and is a stream again', async () => {
    const here = world()
    const { paid, pay } = bill()
    const pieces = [new Uint8Array([1, 2]), new Uint8Array([3])]
    const make = (attempt: RunningAttempt) =>
      attempt.step('speech', () => {
        pay('speech')()
        return new ReadableStream<Uint8Array>({
          start(controller) {
            for (const piece of pieces) controller.enqueue(piece)
            controller.close()
          },
        })
      })
    const read = async (stream: ReadableStream<Uint8Array>) => [
      ...new Uint8Array(await new Response(stream).arrayBuffer()),
    ]
    const seen: number[][] = []
    await crashing(here, async (attempt) => {
      seen.push(await read(await make(attempt)))
      await never
    })
    await here.start().run(async (attempt) => {
      seen.push(await read(await make(attempt)))
    })
    expect(seen).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ])
    expect(paid).toEqual(['speech'])
  })

  test('parallel steps: those that had ended are not run again', async () => {
    const here = world()
    const { paid, pay } = bill()
    const all = (slow: string | undefined) => (attempt: RunningAttempt) =>
      Promise.all(['a', 'b', 'c'].map((name) => attempt.step(name, () => (name === slow ? never : pay(name)()))))
    await crashing(here, all('a'))
    expect((await here.start().run(all(undefined))).value).toEqual(['a!', 'b!', 'c!'])
    expect(paid.sort()).toEqual(['a', 'b', 'c'])
  })

  test('a final error of a step is its outcome: thrown again, not run again', async () => {
    const here = world()
    let ran = 0
    const failing = (attempt: RunningAttempt) =>
      attempt
        .step('ask', () => {
          ran += 1
          throw final(new Error('the model is gone'))
        })
        .catch((error: Error) => error.message)
    await crashing(here, async (attempt) => {
      await failing(attempt)
      await never
    })
    expect((await here.start().run(failing)).value).toBe('the model is gone')
    expect(ran).toBe(1)
  })

  test('a step costs one write, and a resume one read', async () => {
    const here = world()
    const work = (last: unknown) => async (attempt: RunningAttempt) => {
      for (const name of ['a', 'b', 'c']) await attempt.step(name, () => 1)
      await last
    }
    await crashing(here, work(never))
    expect(here.calls).toEqual({ settle: 3, steps: 0 })
    await here.start().run(work(undefined))
    // The settle of the whole operation is the fourth.
    expect(here.calls).toEqual({ settle: 4, steps: 1 })
  })
})

describe('an error', () => {
  test('leaves what was recorded for the next call, which runs the rest', async () => {
    const here = world()
    const { paid, pay } = bill()
    let broken = true
    const work = async (attempt: RunningAttempt) => {
      await attempt.step('a', pay('a'))
      return attempt.step('b', () => {
        if (broken) throw new Error('busy')
        return pay('b')()
      })
    }
    const process = here.start()
    expect((await errorOf(process.run(work))).message).toBe('busy')
    broken = false
    expect((await process.run(work)).value).toBe('b!')
    expect(paid).toEqual(['a', 'b'])
  })

  test('waits for the steps that still run, so that no retry runs them beside', async () => {
    const here = world()
    const { paid, pay } = bill()
    let end: (value: string) => void = () => undefined
    const slow = new Promise<string>((resolve) => {
      end = resolve
    })
    const work = (attempt: RunningAttempt) =>
      Promise.all([
        attempt.step('slow', async () => {
          pay('slow')()
          return slow
        }),
        attempt.step('fast', () => {
          if (paid.length === 1) throw new Error('busy')
          return 'fine'
        }),
      ])
    const process = here.start()
    const first = errorOf(process.run(work))
    await here.clock.advance(60_000)
    const second = process.run(work)
    await here.clock.advance(1_000)
    expect(paid).toEqual(['slow'])
    end('slow!')
    expect((await first).message).toBe('busy')
    await here.clock.advance(1_000)
    // Those who waited in this process share the error; the next one goes on.
    await second.catch(() => undefined)
    paid.push('later')
    expect((await process.run(work)).value).toEqual(['slow!', 'fine'])
    expect(paid).toEqual(['slow', 'later'])
  })
})

describe('what is not the same as it was', () => {
  test('another input under the same name is an error that says whose', async () => {
    const here = world()
    const { paid, pay } = bill()
    const work = (text: string) => async (attempt: RunningAttempt) => {
      await attempt.step('embed', pay(text), { input: { text } })
      await never
    }
    await crashing(here, work('one'))
    const error = await errorOf(here.start().run(work('two')))
    expect([error.code, error.retryable]).toEqual(['step_changed', false])
    expect(error.message).toContain('"embed" was recorded by attempt 1 with another input')
    expect(paid).toEqual(['one'])
  })

  test('a name that changes from attempt to attempt is found before its step is paid for again', async () => {
    const here = world()
    const { paid, pay } = bill()
    const work = (at: number) => async (attempt: RunningAttempt) => {
      await attempt.step(`embed at ${at}`, pay(`embed ${at}`))
      await never
    }
    await crashing(here, work(1))
    const second = errorOf(here.start().run(work(2)))
    await here.clock.advance(6_000)
    const error = await second
    expect(error.code).toBe('step_changed')
    expect(error.message).toContain('"embed at 1"')
    expect(error.message).toContain('"embed at 2"')
    expect(paid).toEqual(['embed 1'])
  })

  test('branches that go on in another order are the same, for the recorded steps are asked for at once', async () => {
    const here = world()
    const { paid, pay } = bill()
    const branch = async (attempt: RunningAttempt, name: string, until: number) => {
      for (let at = 1; at <= until; at++) await attempt.step(`${name}${at}`, pay(`${name}${at}`))
    }
    await crashing(here, async (attempt) => {
      await Promise.all([branch(attempt, 'a', 1).then(() => never), branch(attempt, 'b', 5)])
    })
    await here.start().run((attempt) => Promise.all([branch(attempt, 'a', 3), branch(attempt, 'b', 6)]))
    expect(new Set(paid).size).toBe(paid.length)
    expect(paid.length).toBe(9)
  })

  test('fewer at a time than before are the same: a step that was asked for needs not to wait', async () => {
    const here = world()
    const { paid, pay } = bill()
    const names = ['1', '2', '3', '4']
    await crashing(here, (attempt) =>
      Promise.all(names.map((name) => attempt.step(name, () => (name < '3' ? never : pay(name)())))),
    )
    await here.start().run(async (attempt) => {
      for (const name of names) await attempt.step(name, pay(name))
    })
    expect(paid).toEqual(['3', '4', '1', '2'])
  })

  test('a name that is used twice is refused', async () => {
    const { start } = world()
    const error = await errorOf(
      start().run(async (attempt) => {
        await attempt.step('embed', () => 1)
        await attempt.step('embed', () => 2)
      }),
    )
    expect([error.code, error.message]).toEqual([
      'step_changed',
      expect.stringContaining('"embed" was asked for twice'),
    ])
  })

  test.each([[''], ['x'.repeat(256)], [7 as unknown as string]])('the name %j is none', async (name) => {
    const { start } = world()
    expect((await errorOf(start().run((attempt) => attempt.step(name, () => 1)))).code).toBe('config_invalid')
  })
})

describe('a step with a policy of its own', () => {
  test('unknown: a crash inside it makes the operation unknown, and nothing of it runs again', async () => {
    const here = world()
    const { paid, pay } = bill()
    const work = (end: unknown) => async (attempt: RunningAttempt) => {
      await attempt.step('read', pay('read'))
      return attempt.step('charge', pay('charge', end), { policy: 'unknown' })
    }
    await crashing(here, work(never))
    const process = here.start()
    const error = await errorOf(process.run(work('charged')))
    expect(error.code).toBe('outcome_unknown')
    expect(error.message).toContain('Attempt 1 died inside the step "charge"')
    expect((await errorOf(process.run(work('charged')))).code).toBe('outcome_unknown')
    expect(paid).toEqual(['read', 'charge'])
    // Somebody has looked, and it had not been charged.
    const record = await process.once.inspect(operation)
    expect(record?.state).toBe('unknown')
    const { recordId } = error.details
    await process.once.resolve(recordId ?? '', record as NonNullable<typeof record>, { released: true })
    expect((await process.run(work('charged'))).value).toBe('charged')
    expect(paid).toEqual(['read', 'charge', 'charge'])
  })

  test('unknown: a handler that fails before it comes to the step does not let it run again either', async () => {
    const here = world()
    const { paid, pay } = bill()
    const charge = (attempt: RunningAttempt) => attempt.step('charge', pay('charge', never), { policy: 'unknown' })
    await crashing(here, charge)
    const process = here.start()
    const error = await errorOf(
      process.run(async () => {
        throw new Error('a bug in front of it')
      }),
    )
    expect(error.message).toBe('a bug in front of it')
    expect((await errorOf(process.run(charge))).code).toBe('outcome_unknown')
    expect(paid).toEqual(['charge'])
  })

  test('unknown: a step that throws is unknown too, unless classify knows that nothing was done', async () => {
    const refused = new Error('card refused')
    const here = world()
    const work = (error: Error) => (attempt: RunningAttempt) =>
      attempt.step(
        'charge',
        () => {
          throw error
        },
        { policy: 'unknown' },
      )
    const knowing = here.start({
      classify: (ending) => (ending.kind === 'threw' && ending.error === refused ? 'not_executed' : undefined),
    })
    expect(await errorOf(knowing.run(work(refused)))).toBe(refused)
    const process = here.start()
    const error = await errorOf(process.run(work(new Error('timeout'))))
    expect([error.code, (error.cause as Error).message]).toEqual(['outcome_unknown', 'timeout'])
    expect((await errorOf(process.run(work(refused)))).code).toBe('outcome_unknown')
  })

  test('reconcile: after a crash inside it the step is told to ask first', async () => {
    const here = world()
    const told: boolean[] = []
    const work = (end: unknown) => (attempt: RunningAttempt) =>
      attempt.step(
        'submit',
        ({ recovering }) => {
          told.push(recovering)
          return end
        },
        { policy: 'reconcile' },
      )
    await crashing(here, work(never))
    expect((await here.start().run(work('batch-1'))).value).toBe('batch-1')
    expect(told).toEqual([false, true])
  })

  test('in an operation under unknown a step is its effect, unless it may run again', async () => {
    const here = world()
    const { paid, pay } = bill()
    const charge = (attempt: RunningAttempt) => attempt.step('charge', pay('charge', never))
    await crashing(here, charge, { onAbandoned: 'unknown' })
    expect((await errorOf(here.start({ onAbandoned: 'unknown' }).run(charge))).code).toBe('outcome_unknown')
    const other = world()
    const embed = (end: unknown) => (attempt: RunningAttempt) =>
      attempt.step('embed', pay('embed', end), { policy: 'reexecute' })
    await crashing(other, embed(never), { onAbandoned: 'unknown' })
    expect((await other.start({ onAbandoned: 'unknown' }).run(embed(5))).value).toBe(5)
    expect(paid).toEqual(['charge', 'embed', 'embed'])
  })
})

describe('limits and faults', () => {
  test('what the steps make together is bounded, over attempts', async () => {
    const here = world()
    const half = 'x'.repeat(600_000)
    await crashing(here, async (attempt) => {
      await attempt.step('a', () => half)
      await never
    })
    const work = async (attempt: RunningAttempt) => {
      await attempt.step('a', () => half)
      await attempt.step('b', () => half)
    }
    const error = await errorOf(here.start().run(work))
    expect([error.code, error.message]).toEqual(['step_too_large', expect.stringContaining('1048576 bytes')])
    expect((await here.start({ maxStepBytes: 2_000_000 }).run(work)).status).toBe('executed')
  })

  test('a value that cannot be recorded is paid once, and told in each attempt', async () => {
    const { start } = world()
    const { paid, pay } = bill()
    const process = start()
    const run = () => process.run((attempt) => attempt.step('a', pay('a', 10n)))
    for (let turn = 0; turn < 2; turn++) expect((await errorOf(run())).message).toContain('A bigint cannot be recorded')
    expect(paid).toEqual(['a'])
  })

  test('a stream that is too long is cancelled', async () => {
    const { start } = world()
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
      cancel: () => {
        cancelled = true
      },
    })
    const error = await errorOf(start().run((attempt) => attempt.step('all', () => endless)))
    expect([error.code, cancelled]).toEqual(['step_too_large', true])
  })

  test.each([[0], [16_777_217], [Number.NaN]])('maxStepBytes %d is refused', (maxStepBytes) => {
    expect(() => world().start({ maxStepBytes })).toThrow('maxStepBytes must be')
  })

  test('the lost answer of a step is found, and the step is not run again', async () => {
    const here = world((call, count, asks) => {
      const [ask] = asks as readonly { readonly kind?: string }[]
      return call === 'settle' && count === 1 && ask?.kind === 'step' ? 'lose' : undefined
    })
    const { paid, pay } = bill()
    const done = here.start().run((attempt) => attempt.step('a', pay('a')))
    await here.clock.advance(1_000)
    expect((await done).value).toBe('a!')
    expect(paid).toEqual(['a'])
  })

  test('a late owner can record no step', async () => {
    const here = world()
    let goOn: (value?: unknown) => void = () => undefined
    const asleep = new Promise((resolve) => {
      goOn = resolve
    })
    const deaf = here.start()
    // Its renewals are lost, its steps are not.
    const late = createIdempotency({
      store: faultyStore(here.memory, (call) => (call === 'renew' ? 'hang' : undefined)),
      clock: here.clock,
      onAbandoned: 'resume',
      pepper: new Uint8Array(32),
    })
    const first = errorOf(
      late.run(operation, async (attempt) => {
        await asleep
        return attempt.step('a', () => 'late')
      }),
    )
    await here.clock.advance(takeableMs)
    const second = deaf.run(async (attempt) => {
      const value = await attempt.step('a', () => 'newer')
      goOn()
      await here.clock.advance(10)
      return value
    })
    await here.clock.advance(1_000)
    expect((await first).code).toBe('superseded')
    expect((await second).value).toBe('newer')
  })

  test('a store that does not tell of the steps keeps the operation from running on without them', async () => {
    let away = false
    const here = world((call) => (away && call === 'steps' ? 'fail' : undefined))
    const { paid, pay } = bill()
    const work = (end: unknown) => async (attempt: RunningAttempt) => {
      await attempt.step('a', pay('a'))
      await end
    }
    await crashing(here, work(never))
    away = true
    expect((await errorOf(here.start().run(work(undefined)))).message).toContain('steps failed')
    away = false
    await here.clock.advance(takeableMs)
    expect((await here.start().run(work(undefined))).attempt).toBe(3)
    expect(paid).toEqual(['a'])
  })

  test('an execution that no record protects runs its steps as they come', async () => {
    const here = world(() => 'fail')
    const done = here.start({ failOpen: true }).run((attempt) => attempt.step('a', () => 'ran'))
    await here.clock.advance(10_000)
    expect(await done).toMatchObject({ value: 'ran', status: 'bypassed' })
  })
})
