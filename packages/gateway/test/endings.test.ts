/** Which answers are recorded, which let the next request run, and which are never run again (protocol.md, Endings). */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  freshKey,
  type GatewayProgram,
  json,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'

let upstream: ScriptedUpstream
let reexecute: GatewayProgram
let unknown: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  reexecute = await startGateway(upstream)
  unknown = await startGateway(upstream, ['--on-abandoned', 'unknown'])
})
afterAll(async () => {
  await reexecute.kill()
  await unknown.kill()
  upstream.close()
})
beforeEach(() => upstream.reset())

/** Answers by a status once, then with 200. */
function failOnce(status: number, headers: Record<string, string> = {}, body: unknown = { failed: true }): void {
  upstream.reset(({ response }, count) =>
    count === 1 ? json(response, body, status, headers) : json(response, { count }),
  )
}

describe.each([
  ['reexecute', () => reexecute],
  ['unknown', () => unknown],
])('under %s', (_, gateway) => {
  test.each([200, 201, 202, 301, 302, 400, 404, 405, 409, 410, 413, 415, 418, 422, 451])(
    '%i is recorded and replayed',
    async (status) => {
      failOnce(status)
      const key = freshKey()
      const first = await send(gateway(), { key })
      const second = await send(gateway(), { key })
      expect([first.status, first.how]).toEqual([status, 'executed'])
      expect([second.status, second.how, second.text]).toEqual([status, 'replayed', first.text])
      expect(upstream.calls).toHaveLength(1)
    },
  )

  test.each([401, 402, 403, 408, 425, 429, 503, 529])('%i lets the next request execute', async (status) => {
    failOnce(status, { 'retry-after': '7' })
    const key = freshKey()
    const first = await send(gateway(), { key })
    expect([first.status, first.how, first.header('retry-after')]).toEqual([status, 'executed', '7'])
    expect(first.json).toEqual({ failed: true })
    const second = await send(gateway(), { key })
    expect([second.status, second.how]).toEqual([200, 'executed'])
    expect((await send(gateway(), { key })).how).toBe('replayed')
    expect(upstream.calls).toHaveLength(2)
  })

  test.each([
    ['500 with x-should-retry: true', 500, { 'x-should-retry': 'true' }],
    ['400 with x-should-retry: true', 400, { 'x-should-retry': 'true' }],
    ['409 with Retry-After', 409, { 'retry-after': '1' }],
  ])('%s lets the next request execute', async (__, status, headers) => {
    failOnce(status, headers)
    const key = freshKey()
    expect((await send(gateway(), { key })).status).toBe(status)
    expect((await send(gateway(), { key })).status).toBe(200)
    expect(upstream.calls).toHaveLength(2)
  })

  test('a 429 of two mebibytes passes whole, and the next request executes', async () => {
    const body = 'x'.repeat(2 * 1024 * 1024)
    failOnce(429, {}, body)
    const key = freshKey()
    const first = await send(gateway(), { key })
    expect([first.status, first.complete, first.json]).toEqual([429, true, body])
    expect((await send(gateway(), { key })).status).toBe(200)
  })

  test('a chunked 429 passes whole, and the next request executes', async () => {
    upstream.reset(({ response }, count) => {
      if (count > 1) return json(response, {})
      response.writeHead(429, { 'Content-Type': 'application/json' })
      response.write('{"a":')
      response.end('1}')
    })
    const key = freshKey()
    const first = await send(gateway(), { key })
    expect([first.status, first.complete, first.text]).toEqual([429, true, '{"a":1}'])
    expect((await send(gateway(), { key })).status).toBe(200)
  })
})

const indeterminate = [500, 501, 502, 504, 520, 599]

describe('an answer that may hide an execution', () => {
  test.each(indeterminate)('%i runs again under reexecute', async (status) => {
    failOnce(status)
    const key = freshKey()
    const first = await send(reexecute, { key })
    expect([first.status, first.how, first.json]).toEqual([status, 'executed', { failed: true }])
    expect((await send(reexecute, { key })).how).toBe('executed')
    expect(upstream.calls).toHaveLength(2)
  })

  test.each(indeterminate)('%i never runs again under unknown', async (status) => {
    failOnce(status)
    const key = freshKey()
    const first = await send(unknown, { key })
    expect([first.status, first.how, first.json]).toEqual([status, 'executed', { failed: true }])
    for (let again = 0; again < 2; again++) {
      const later = await send(unknown, { key })
      expect([later.status, later.how, later.json['code']]).toEqual([409, 'refused', 'outcome_unknown'])
      expect(later.json['safe_to_use_new_key']).toBe(false)
      expect(later.header('x-should-retry')).toBe('false')
      expect(later.header('idempotency-key')).toBe(key)
    }
    expect(upstream.calls).toHaveLength(1)
  })

  test('another request under an unknown key is a mismatch, not an execution', async () => {
    failOnce(500)
    const key = freshKey()
    await send(unknown, { key, body: 'a' })
    const other = await send(unknown, { key, body: 'b' })
    expect([other.status, other.json['code'], upstream.calls.length]).toEqual([422, 'fingerprint_mismatch', 1])
  })

  test('a route may have a policy of its own', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'oncekey-endings-')), 'oncekey.json')
    writeFileSync(file, JSON.stringify({ routes: [{ path: '/v1/batches*', onAbandoned: 'unknown' }] }))
    const gateway = await startGateway(upstream, ['--config', file])
    for (const [path, status] of [
      ['/v1/batches/a/b', 409],
      ['/v1/other', 200],
    ] as const) {
      failOnce(500)
      const key = freshKey()
      await send(gateway, { key, path })
      expect((await send(gateway, { key, path })).status).toBe(status)
    }
    await gateway.kill()
  })
})

test('an answer of the layer itself is never the outcome', async () => {
  const key = freshKey()
  const original = await send(reexecute, { key, body: 'a' })
  expect((await send(reexecute, { key, body: 'b' })).status).toBe(422)
  expect((await send(reexecute, { key: `${key},`, body: 'a' })).status).toBe(400)
  const again = await send(reexecute, { key, body: 'a' })
  expect([again.status, again.text]).toEqual([200, original.text])
})
