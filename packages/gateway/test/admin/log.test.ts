/** One line a request, and none lost at the end. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freshKey, json, open, type ScriptedUpstream, send, startGateway, startUpstream, until } from '../harness.ts'

let upstream: ScriptedUpstream
beforeAll(async () => {
  upstream = await startUpstream()
})
beforeEach(() => upstream.reset())
afterAll(() => upstream.close())

type Line = Record<string, unknown>

/** The lines about requests, once there are so many. */
async function lines(gateway: { stderr: string }, count: number): Promise<Line[]> {
  const all = () =>
    gateway.stderr
      .split('\n')
      .filter((line) => line.includes('"method"'))
      .map((line) => JSON.parse(line) as Line)
  await until(() => all().length >= count)
  return all()
}

test('a line says what was asked, how it was answered, and what it cost', async () => {
  const usage = { prompt_tokens: 11, completion_tokens: 7 }
  upstream.reset(({ response }) => json(response, { model: 'gpt-4o', usage }))
  const gateway = await startGateway(upstream)
  const key = freshKey()
  const sent = { key, path: '/v1/chat/completions?secret=x', body: '{"model":"gpt-4o"}' }
  await send(gateway, sent)
  await send(gateway, sent)
  await send(gateway, { ...sent, body: '{"model":"other"}' })
  await send(gateway, { method: 'GET', path: '/v1/models' })
  const found = await lines(gateway, 4)
  const common = { level: 30, method: 'POST', path: '/v1/chat/completions', recordId: expect.any(String) }
  const cost = { model: 'gpt-4o', inputTokens: 11, outputTokens: 7 }
  expect(found).toEqual([
    expect.objectContaining({ ...common, ...cost, status: 200, how: 'executed', attempt: 1 }),
    expect.objectContaining({ ...common, ...cost, status: 200, how: 'replayed' }),
    expect.objectContaining({ ...common, status: 422, how: 'refused' }),
    expect.objectContaining({ method: 'GET', path: '/v1/models', status: 200, how: 'ignored' }),
  ])
  expect(found[0]).toHaveProperty('upstreamMs')
  expect(found[1]).not.toHaveProperty('attempt')
  expect(found.every(({ ms }) => Number.isInteger(ms))).toBe(true)
  await gateway.kill()
})

test('a caller that left and an answer that was cut are told apart from one that was answered', async () => {
  const gateway = await startGateway(upstream, ['--on-disconnect', 'abort'])
  upstream.reset(() => undefined)
  const left = open(gateway, { key: freshKey() })
  await upstream.call()
  left.hangUp()
  expect((await lines(gateway, 1))[0]).toMatchObject({ status: 0, how: 'left' })
  upstream.reset(({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    response.write('data: {"choices":[]}\n\n')
    setTimeout(() => response.destroy(), 50)
  })
  await open(gateway, { key: freshKey(), path: '/v1/chat/completions' }).ended
  expect((await lines(gateway, 2))[1]).toMatchObject({ status: 200, how: 'executed', cut: true })
  await gateway.kill()
})

describe('no line is lost', () => {
  test.each([
    ['SIGTERM', 0],
    ['a second SIGTERM', 1],
  ])('at %s', async (_, code) => {
    const gateway = await startGateway(upstream)
    for (let count = 0; count < 20; count++) await send(gateway, { key: freshKey(), path: `/v1/last/${count}` })
    if (code === 1) {
      upstream.reset(() => undefined)
      void open(gateway, { key: freshKey() })
      await upstream.call()
    }
    // Sooner than lines are written by themselves.
    gateway.signal('SIGTERM')
    if (code === 1) {
      await until(() => gateway.stderr.includes('stopping'))
      gateway.signal('SIGTERM')
    }
    expect((await gateway.exited).code).toBe(code)
    const paths = (await lines(gateway, 20)).map(({ path }) => path)
    expect(paths).toEqual(Array.from({ length: 20 }, (_, count) => `/v1/last/${count}`))
  })
  test('and what needs a look is written at once, with all before it', async () => {
    const gateway = await startGateway(upstream, ['--on-abandoned', 'unknown'])
    await send(gateway, { key: freshKey(), path: '/v1/before' })
    upstream.reset(({ response }) => json(response, {}, 500))
    await send(gateway, { key: freshKey() })
    await until(() => gateway.stderr.includes('the outcome of a request is unknown'), 150)
    expect(gateway.stderr).toContain('/v1/before')
    await gateway.kill()
  })
})

test.each([
  ['warn', true],
  ['error', true],
])('at --log %s there is no line of a request, and there still is of what needs a look', async (level, unknown) => {
  const gateway = await startGateway(upstream, ['--log', level, '--on-abandoned', 'unknown'])
  await send(gateway, { key: freshKey() })
  upstream.reset(({ response }) => json(response, {}, 500))
  await send(gateway, { key: freshKey() })
  gateway.signal('SIGTERM')
  await gateway.exited
  expect(gateway.stderr).not.toContain('"method"')
  expect(gateway.stderr.includes('the outcome of a request is unknown')).toBe(unknown)
})

test('a path as long as a client likes is cut', async () => {
  const gateway = await startGateway(upstream)
  await send(gateway, { key: freshKey(), path: `/v1/${'x'.repeat(5_000)}` })
  const [line] = await lines(gateway, 1)
  expect(String(line?.['path'])).toHaveLength(257)
  await gateway.kill()
})
