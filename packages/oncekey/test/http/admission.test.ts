/** A tenant that has what it may keep: what is there goes on, and nothing is executed anew. */
import { describe, expect, test } from 'vitest'
import { IdempotencyError } from '../../src/core/errors.ts'
import type { Fault, FaultyCall } from '../../src/testing/faulty.ts'
import { type World, type WorldOptions, world } from './world.ts'

interface Shared extends World {
  /** Has the tenant what it may keep? */
  full: boolean
  /** Whom the exchange has asked about. */
  readonly asked: string[]
  /** Store calls by name. */
  readonly made: Record<string, number>
}

function shared(
  options: WorldOptions = {},
  plan: (call: FaultyCall) => Fault = () => undefined,
  processes = 1,
): Shared {
  const made: Record<string, number> = {}
  const asked: string[] = []
  const admits = (tenant: string): IdempotencyError | undefined => {
    asked.push(tenant)
    return here.full ? new IdempotencyError('quota_exceeded', 'Too much is kept.') : undefined
  }
  const counted = (call: FaultyCall): Fault => {
    made[call] = (made[call] ?? 0) + 1
    return plan(call)
  }
  const here: Shared = { ...world({ admits, ...options }, counted, processes), full: false, asked, made }
  return here
}

/** Sends and lets the upstream answer all calls, when there are any. */
async function sent(here: Shared, ...asks: Parameters<World['send']>): Promise<unknown[]> {
  const before = here.calls.length
  const { caller } = here.send(...asks)
  await here.clock.advance(1)
  for (const { events } of here.calls.slice(before)) here.answer(events)
  await here.clock.advance(1)
  return [caller.status, caller.header('idempotency-status')]
}

const refused = [429, 'refused']

describe('a tenant that has what it may keep', () => {
  test('is refused before anything is claimed or called, and as itself', async () => {
    const here = shared()
    here.full = true
    expect(await sent(here, 'new')).toEqual(refused)
    expect([here.calls.length, here.made['claim'] ?? 0, here.made['read']]).toEqual([0, 0, 1])
    expect(here.asked).toEqual([expect.stringMatching(/^credential:/)])
    here.full = false
    expect(await sent(here, 'new')).toEqual([200, 'executed'])
  })

  test('still gets what is recorded, until it expires', async () => {
    const here = shared()
    expect(await sent(here, 'k')).toEqual([200, 'executed'])
    here.full = true
    expect(await sent(here, 'k')).toEqual([200, 'replayed'])
    expect(await sent(here, { key: 'k', body: '{"a":2}' })).toEqual([422, 'refused'])
    await here.clock.advance(86_400_000)
    expect(await sent(here, 'k')).toEqual(refused)
    expect(here.calls).toHaveLength(1)
  })

  test.each([0, 1])('still joins what runs in process %i', async (at) => {
    const here = shared({}, undefined, 2)
    const first = here.send('k').caller
    await here.clock.advance(1)
    here.full = true
    const second = here.send({ key: 'k', at }).caller
    await here.clock.advance(1)
    for (const { events } of here.calls) here.answer(events)
    await here.clock.advance(500)
    expect([first.status, second.status, second.text]).toEqual([200, 200, first.text])
    expect(here.calls).toHaveLength(1)
  })

  test('still hears that an outcome is unknown', async () => {
    const here = shared({ onAbandoned: 'unknown' })
    const { caller } = here.send('k')
    await here.clock.advance(1)
    here.calls[0]?.events.fail({ code: 'upstream_unreachable', sent: true, cause: new Error('reset') })
    await here.clock.advance(1)
    expect(caller.status).toBe(502)
    here.full = true
    expect(await sent(here, 'k')).toEqual([409, 'refused'])
  })

  test('executes nothing again that was released', async () => {
    const here = shared()
    here.send('k')
    await here.clock.advance(1)
    if (here.calls[0] !== undefined) here.answer(here.calls[0].events, 'busy', 429)
    await here.clock.advance(1)
    here.full = true
    expect(await sent(here, 'k')).toEqual(refused)
    here.full = false
    expect(await sent(here, 'k')).toEqual([200, 'executed'])
  })

  test('gets no answer without a key either, but for a retry of what was executed', async () => {
    const here = shared({ keyless: 'retries' })
    const first = here.send({ count: 0 })
    await here.clock.advance(1)
    first.caller.leave()
    here.full = true
    const retry = here.send({ count: 1 })
    await here.clock.advance(1)
    for (const { events } of here.calls) here.answer(events)
    await here.clock.advance(500)
    expect([retry.caller.status, retry.caller.header('idempotency-status')]).toEqual([200, 'inferred'])
    expect(await sent(here, { count: 0 })).toEqual(refused)
    expect(await sent(here, { count: 1 })).toEqual(refused)
    expect(here.calls).toHaveLength(1)
  })
})

describe('with the store away', () => {
  const away = (call: FaultyCall): Fault => (call === 'read' || call === 'claim' ? 'fail' : undefined)

  test('a tenant that has its share is refused as everybody is', async () => {
    const here = shared({}, away)
    here.full = true
    const { caller } = here.send('k')
    await here.clock.advance(6_000)
    expect([caller.status, JSON.parse(caller.text).code]).toEqual([503, 'store_unavailable'])
  })

  test('it is let through unprotected where the route fails open, for that leaves no record', async () => {
    const here = shared({ failOpen: true }, away)
    here.full = true
    const { done } = here.send('k')
    await here.clock.advance(12_000)
    expect(await done).toBe('bypass')
  })
})

test('nobody else pays a store call for it', async () => {
  const here = shared()
  const control = shared({ admits: undefined })
  for (const one of [here, control]) {
    expect(await sent(one, 'k')).toEqual([200, 'executed'])
    expect(await sent(one, 'k')).toEqual([200, 'replayed'])
  }
  expect(here.made).toEqual(control.made)
  expect([here.asked.length, control.asked.length]).toEqual([2, 0])
})
