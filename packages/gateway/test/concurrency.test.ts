/** Duplicates that come while the original runs: one call, one answer (http.md, Request and Answers). */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  answerOf,
  freshKey,
  type GatewayProgram,
  json,
  open,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
  until,
} from './harness.ts'

let upstream: ScriptedUpstream
let gateway: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway(upstream)
})
afterAll(async () => {
  await gateway.kill()
  upstream.close()
})
beforeEach(() => upstream.reset())

test('a hundred simultaneous duplicates make one call, and all get the same answer', async () => {
  upstream.reset(({ response }, count) => setTimeout(() => json(response, { count }), 50))
  const key = freshKey()
  const answers = await Promise.all(Array.from({ length: 100 }, () => send(gateway, { key, body: 'x' })))
  expect(upstream.calls).toHaveLength(1)
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['200 {"count":1}']))
  expect(answers.filter(({ how }) => how === 'executed')).toHaveLength(1)
  const others = answers.filter(({ how }) => how !== 'executed')
  expect(new Set(others.map((answer) => answer.how))).toEqual(new Set(['joined']))
  expect(others.every((answer) => answer.header('idempotent-replayed') === 'true')).toBe(true)
})

test('fifty keys run side by side, each once', async () => {
  upstream.reset(({ response, headers, body }) =>
    setTimeout(() => json(response, [headers['x-n'], body.toString()]), 20),
  )
  const keys = Array.from({ length: 50 }, freshKey)
  const answers = await Promise.all(
    [...keys, ...keys].map((key, at) => send(gateway, { key, headers: ['x-n', String(at % 50)], body: `b${at % 50}` })),
  )
  expect(upstream.calls).toHaveLength(50)
  for (const [at, answer] of answers.entries()) expect(answer.json).toEqual([String(at % 50), `b${at % 50}`])
})

test('a 429 is shared by those who waited, and not by those who come later', async () => {
  upstream.reset(({ response }, count) => {
    if (count > 1) return json(response, { count })
    setTimeout(() => json(response, { error: 'slow down' }, 429, { 'retry-after': '2' }), 100)
  })
  const key = freshKey()
  const answers = await Promise.all(Array.from({ length: 30 }, () => send(gateway, { key })))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([429]))
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['{"error":"slow down"}']))
  expect(upstream.calls).toHaveLength(1)
  expect((await send(gateway, { key })).status).toBe(200)
  expect(upstream.calls).toHaveLength(2)
})

test('a 500 that ends as unknown tells those who waited that it is', async () => {
  const careful = await startGateway(upstream, ['--on-abandoned', 'unknown'])
  upstream.reset(({ response }) => setTimeout(() => json(response, { failed: true }, 500), 100))
  const key = freshKey()
  const answers = await Promise.all(Array.from({ length: 5 }, () => send(careful, { key })))
  expect(answers.map(({ status }) => status).sort()).toEqual([409, 409, 409, 409, 500])
  expect(upstream.calls).toHaveLength(1)
  await careful.kill()
})

test('Prefer: wait=0 asks for an answer at once: 409 in_progress with both hints', async () => {
  upstream.reset(() => undefined)
  const key = freshKey()
  const original = open(gateway, { key })
  const { response } = await upstream.call()
  const startedMs = performance.now()
  const refused = await send(gateway, { key, headers: ['Prefer', 'wait=0'] })
  expect(performance.now() - startedMs).toBeLessThan(900)
  expect([refused.status, refused.how, refused.json['code']]).toEqual([409, 'refused', 'in_progress'])
  expect(refused.header('preference-applied')).toBe('wait=0')
  expect(refused.header('x-should-retry')).toBe('true')
  const seconds = Number(refused.header('retry-after'))
  const milliseconds = Number(refused.header('retry-after-ms'))
  expect([Number.isInteger(seconds), seconds >= 1, seconds <= 60]).toEqual([true, true, true])
  expect([Number.isInteger(milliseconds), milliseconds >= 1, milliseconds <= 60_000]).toEqual([true, true, true])
  json(response, { late: true })
  expect((await answerOf(original)).json).toEqual({ late: true })
  expect((await send(gateway, { key })).how).toBe('replayed')
})

test('Prefer: wait=1 waits a second and no longer', async () => {
  upstream.reset(() => undefined)
  const key = freshKey()
  const original = open(gateway, { key })
  const { response } = await upstream.call()
  const startedMs = performance.now()
  const refused = await send(gateway, { key, headers: ['Prefer', 'respond-async, wait=1'] })
  const tookMs = performance.now() - startedMs
  expect([refused.status, refused.header('preference-applied')]).toEqual([409, 'wait=1'])
  expect(tookMs).toBeGreaterThan(900)
  expect(tookMs).toBeLessThan(3_000)
  response.end()
  await original.ended
})

test('--wait bounds what a caller may ask for', async () => {
  const brief = await startGateway(upstream, ['--wait', '300ms'])
  upstream.reset(() => undefined)
  const key = freshKey()
  const original = open(brief, { key })
  await upstream.call()
  const startedMs = performance.now()
  const refused = await send(brief, { key, headers: ['Prefer', 'wait=60'] })
  expect([refused.status, refused.json['code']]).toEqual([409, 'in_progress'])
  expect(performance.now() - startedMs).toBeLessThan(5_000)
  expect(refused.header('preference-applied')).toBe('wait=0')
  original.hangUp()
  await brief.kill()
})

test('a waiter that came in time gets the answer, with the wait that was applied', async () => {
  upstream.reset(() => undefined)
  const key = freshKey()
  const original = open(gateway, { key })
  const { response } = await upstream.call()
  const waiter = open(gateway, { key, headers: ['Prefer', 'wait=20'] })
  const refused = await send(gateway, { key, headers: ['Prefer', 'wait=0'] })
  expect(refused.status).toBe(409)
  json(response, { ok: true })
  const answer = await answerOf(waiter)
  expect([answer.status, answer.how, answer.header('preference-applied')]).toEqual([200, 'joined', 'wait=20'])
  await original.ended
})

test('a waiter still gets the answer when the original caller has hung up', async () => {
  upstream.reset(() => undefined)
  const key = freshKey()
  const original = open(gateway, { key })
  const { response } = await upstream.call()
  const waiter = open(gateway, { key })
  original.hangUp()
  await original.ended
  expect((await send(gateway, { key, headers: ['Prefer', 'wait=0'] })).json['code']).toBe('in_progress')
  json(response, { ok: true })
  expect((await answerOf(waiter)).json).toEqual({ ok: true })
  expect(upstream.calls).toHaveLength(1)
})

test('waiters that hang up change nothing', async () => {
  upstream.reset(() => undefined)
  const key = freshKey()
  const original = open(gateway, { key })
  const { response } = await upstream.call()
  const waiters = Array.from({ length: 10 }, () => open(gateway, { key }))
  await until(() => waiters.every(({ request }) => request.socket?.connecting === false))
  for (const waiter of waiters) waiter.hangUp()
  await Promise.all(waiters.map((waiter) => waiter.ended))
  json(response, { ok: true })
  expect((await answerOf(original)).how).toBe('executed')
  expect(upstream.calls).toHaveLength(1)
})
