/** The exchange where a whole program cannot be taken: a store that is away, and times of minutes. */
import { describe, expect, test } from 'vitest'
import type { UpstreamEvents } from '../../src/http/caller.ts'
import { utf8, world } from './world.ts'

describe('the store is away', () => {
  test('a request is refused after five seconds, nothing is executed, and it may be retried', async () => {
    const { clock, send, calls } = world({}, (call) => (call === 'claim' ? 'fail' : undefined))
    const { caller } = send('k')
    await clock.advance(4_000)
    expect(caller.started).toBe(false)
    await clock.advance(2_000)
    expect([caller.status, caller.header('x-should-retry'), caller.ended]).toEqual([503, 'true', true])
    expect(JSON.parse(caller.text)).toMatchObject({ code: 'store_unavailable' })
    expect(calls).toHaveLength(0)
  })

  test('a route that fails open hands the request back to be passed through', async () => {
    const { clock, send } = world({ failOpen: true }, (call) => (call === 'claim' ? 'fail' : undefined))
    const { done } = send('k')
    await clock.advance(6_000)
    expect(await done).toBe('bypass')
  })

  test('a paid answer reaches its caller after five seconds, marked as unrecorded', async () => {
    const { clock, send, calls, answer } = world({}, (call) => (call === 'settle' ? 'fail' : undefined))
    const { caller } = send('k')
    await clock.advance(1)
    if (calls[0] !== undefined) answer(calls[0].events)
    await clock.advance(4_900)
    expect(caller.started).toBe(false)
    await clock.advance(200)
    expect([caller.status, caller.text, caller.header('idempotency-recorded')]).toEqual([200, '{"ok":true}', '?0'])
  })

  test('one who joined it gets the same bytes with the same mark', async () => {
    const { clock, send, calls, answer } = world({}, (call) => (call === 'settle' ? 'fail' : undefined))
    const { caller } = send('k')
    const joined = send('k').caller
    await clock.advance(1)
    if (calls[0] !== undefined) answer(calls[0].events)
    await clock.advance(6_000)
    for (const one of [caller, joined])
      expect([one.status, one.text, one.header('idempotency-recorded')]).toEqual([200, '{"ok":true}', '?0'])
    expect(calls).toHaveLength(1)
  })

  test('a recorded answer carries no such mark', async () => {
    const { clock, send, calls, answer } = world()
    const { caller } = send('k')
    await clock.advance(1)
    if (calls[0] !== undefined) answer(calls[0].events)
    await clock.advance(1)
    expect([caller.status, caller.headers.includes('Idempotency-Recorded')]).toEqual([200, false])
  })
})

describe('an append whose answer is lost', () => {
  test.each([
    ['in the middle of a stream', 'data: 2\n\n'],
    ['just before its end', ''],
  ])('%s harms nobody: the piece goes out again as it was', async (_, more) => {
    let lost = 0
    const { clock, send, calls, stream } = world({}, (call) => {
      if (call !== 'append') return undefined
      lost += 1
      return lost === 1 ? 'lose' : undefined
    })
    const { caller } = send('k')
    await clock.advance(1)
    const events = calls[0]?.events as UpstreamEvents
    stream(events, 'data: 1\n\n')
    await clock.advance(50)
    expect(lost).toBe(1)
    if (more !== '') events.data(utf8.encode(more))
    await clock.advance(more === '' ? 0 : 500)
    events.data(utf8.encode('data: [DONE]\n\n'))
    events.end([])
    await clock.advance(1_000)
    const whole = `data: 1\n\n${more}data: [DONE]\n\n`
    expect([caller.text, caller.ended, caller.wasCut]).toEqual([whole, true, false])
    const again = send('k').caller
    await clock.advance(100)
    expect([again.text, again.header('idempotency-status')]).toEqual([whole, 'replayed'])
    expect(calls).toHaveLength(1)
  })
})

describe('minutes', () => {
  test('a caller that takes nothing for sixty seconds is dropped, and the stream is recorded all the same', async () => {
    const { clock, send, calls, stream } = world()
    const slow = send('k')
    slow.caller.full = true
    await clock.advance(1)
    const events = calls[0]?.events as UpstreamEvents
    stream(events, 'data: 1\n\n')
    await clock.advance(59_000)
    expect(slow.caller.wasCut).toBe(false)
    await clock.advance(1_500)
    expect(slow.caller.wasCut).toBe(true)
    events.data(utf8.encode('data: [DONE]\n\n'))
    events.end([])
    await clock.advance(100)
    const again = send('k')
    await clock.advance(100)
    expect([again.caller.text, again.caller.header('idempotency-status')]).toEqual([
      'data: 1\n\ndata: [DONE]\n\n',
      'replayed',
    ])
    expect(calls).toHaveLength(1)
  })

  test('a call that nobody waits for is read on for half an hour with a key, then ended', async () => {
    const { clock, send, calls, stream } = world()
    const { caller } = send('k')
    await clock.advance(1)
    stream(calls[0]?.events as UpstreamEvents, 'data: 1\n\n')
    caller.leave()
    await clock.advance(29 * 60_000)
    expect(calls[0]?.aborted).toBe(false)
    await clock.advance(2 * 60_000)
    expect(calls[0]?.aborted).toBe(true)
  })

  test('without a key it is ended after thirty seconds', async () => {
    const { clock, send, calls, stream } = world({ keyless: 'retries' })
    const { caller } = send(undefined)
    await clock.advance(1)
    stream(calls[0]?.events as UpstreamEvents, 'data: 1\n\n')
    caller.leave()
    await clock.advance(29_000)
    expect(calls[0]?.aborted).toBe(false)
    await clock.advance(2_000)
    expect(calls[0]?.aborted).toBe(true)
  })

  test('a silent stream gets a comment at an event’s end, which no replay has', async () => {
    const { clock, send, calls, stream } = world()
    const { caller } = send('k')
    await clock.advance(1)
    const events = calls[0]?.events as UpstreamEvents
    stream(events, 'data: 1\n\n')
    await clock.advance(16_000)
    expect(caller.text).toBe('data: 1\n\n: keep-alive\n\n')
    events.data(utf8.encode('data: 2\n'))
    await clock.advance(40_000)
    expect(caller.text).toBe('data: 1\n\n: keep-alive\n\ndata: 2\n')
    events.data(utf8.encode('\ndata: [DONE]\n\n'))
    events.end([])
    await clock.advance(100)
    expect(caller.ended).toBe(true)
    const again = send('k')
    await clock.advance(100)
    expect(again.caller.text).toBe('data: 1\n\ndata: 2\n\ndata: [DONE]\n\n')
  })
})

test('the thousand and first that waits for one original is told to come back', async () => {
  const { clock, send, calls, answer } = world()
  send('k')
  await clock.advance(1)
  const waiting = Array.from({ length: 1_000 }, () => send('k'))
  await clock.advance(1)
  const last = send('k')
  await clock.advance(1)
  expect([last.caller.status, last.caller.header('retry-after')]).toEqual([429, '1'])
  if (calls[0] !== undefined) answer(calls[0].events)
  await clock.advance(10)
  expect(new Set(waiting.map(({ caller }) => `${caller.status} ${caller.text}`))).toEqual(new Set(['200 {"ok":true}']))
  expect(calls).toHaveLength(1)
})

test.each([
  [429, 'executes again: its status has said that nothing was done', 2],
  [500, 'is not run again under unknown', 1],
])('an answer of %i that breaks off %s', async (status, _, paid) => {
  const { clock, send, calls } = world({ onAbandoned: 'unknown' })
  const { caller } = send('k')
  await clock.advance(1)
  calls[0]?.events.head(status, ['Content-Type', 'application/json', 'Content-Length', '100'])
  calls[0]?.events.data(utf8.encode('{"half":'))
  calls[0]?.events.fail({ code: 'upstream_unreachable', sent: true, cause: new Error('reset') })
  await clock.advance(1)
  expect(caller.status).toBe(502)
  send('k')
  await clock.advance(1)
  expect(calls).toHaveLength(paid)
})
