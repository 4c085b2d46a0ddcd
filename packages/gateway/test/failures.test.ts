/** Upstreams that fail: what the caller is told, and whether the next request runs (protocol.md, Endings). */
import { createServer } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  beginEvents,
  freshKey,
  type GatewayProgram,
  json,
  open,
  type RawUpstream,
  type ScriptedUpstream,
  send,
  startGateway,
  startRawUpstream,
  startUpstream,
} from './harness.ts'

let upstream: ScriptedUpstream
let raw: RawUpstream
let gateway: GatewayProgram
let careful: GatewayProgram
let bytewise: GatewayProgram
let bytewiseCareful: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  raw = await startRawUpstream(() => undefined)
  const hurried = ['--upstream-timeout', '500ms']
  gateway = await startGateway(upstream, hurried)
  careful = await startGateway(upstream, [...hurried, '--on-abandoned', 'unknown'])
  bytewise = await startGateway(raw)
  bytewiseCareful = await startGateway(raw, ['--on-abandoned', 'unknown'])
})
afterAll(async () => {
  await Promise.all([gateway, careful, bytewise, bytewiseCareful].map((program) => program.kill()))
  upstream.close()
  raw.close()
})
beforeEach(() => upstream.reset())

describe('an upstream that refuses connections', () => {
  test.each(['reexecute', 'unknown'])('was not reached under %s, and the next request executes', async (policy) => {
    // A port that was free a moment ago, and will have a server in a moment.
    const server = createServer((_, response) => json(response, { up: true }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const away = await startGateway(`http://127.0.0.1:${port}`, ['--on-abandoned', policy])
    const key = freshKey()
    for (let round = 0; round < 2; round++) {
      const refused = await send(away, { key })
      expect([refused.status, refused.how, refused.json['code']]).toEqual([502, 'refused', 'upstream_unreachable'])
      expect([refused.json['may_have_run'], refused.header('x-should-retry')]).toEqual([false, 'true'])
      expect(refused.header('idempotency-key')).toBe(key)
    }
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    const next = await send(away, { key })
    expect([next.how, next.json]).toEqual(['executed', { up: true }])
    await away.kill()
    server.close()
    server.closeAllConnections()
  })

  test('is told from one that comes up in time, which is tried again inside the same request', async () => {
    const server = createServer((_, response) => json(response, { up: true }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const away = await startGateway(`http://127.0.0.1:${port}`)
    const asking = send(away, { key: freshKey() })
    await new Promise((resolve) => setTimeout(resolve, 40))
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    // Too late for the last try on a slow machine is a refusal; what must not be is any other answer.
    const { status, json: body } = await asking
    expect([200, 502]).toContain(status)
    if (status === 200) expect(body).toEqual({ up: true })
    await away.kill()
    server.close()
    server.closeAllConnections()
  })

  test('whose name nobody knows was not reached either', async () => {
    const away = await startGateway('http://nobody.invalid')
    const refused = await send(away, { key: freshKey() })
    expect([refused.status, refused.json['code'], refused.json['may_have_run']]).toEqual([
      502,
      'upstream_unreachable',
      false,
    ])
    expect(refused.text).not.toMatch(/ENOTFOUND|getaddrinfo/)
    await away.kill()
  })
})

describe('an upstream that breaks off before its head', () => {
  test.each([
    ['by a reset', 'reset'],
    ['by a plain end', 'end'],
    ['in the middle of its head', 'half'],
  ])('%s may have run the request: it runs again under reexecute', async (_, how) => {
    raw.requests.length = 0
    raw.serve = (socket) => {
      if (raw.requests.length > 1) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      else if (how === 'reset') socket.resetAndDestroy()
      else socket.end(how === 'half' ? 'HTTP/1.1 200 OK\r\nContent-' : '')
    }
    const key = freshKey()
    const refused = await send(bytewise, { key })
    expect([refused.status, refused.json['code'], refused.json['may_have_run']]).toEqual([
      502,
      'upstream_unreachable',
      true,
    ])
    expect(raw.requests).toHaveLength(1)
    expect([(await send(bytewise, { key })).text, raw.requests.length]).toEqual(['ok', 2])
  })

  test('makes the outcome unknown under unknown, and nothing runs again', async () => {
    raw.requests.length = 0
    raw.serve = (socket) => socket.resetAndDestroy()
    const key = freshKey()
    const refused = await send(bytewiseCareful, { key })
    expect([refused.status, refused.json['may_have_run'], refused.header('x-should-retry')]).toEqual([
      502,
      true,
      'false',
    ])
    const again = await send(bytewiseCareful, { key })
    expect([again.status, again.json['code'], raw.requests.length]).toEqual([409, 'outcome_unknown', 1])
  })

  test('is never asked again by the gateway itself, by whatever method', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      raw.requests.length = 0
      raw.serve = (socket) => socket.resetAndDestroy()
      const refused = await send(bytewise, { method, key: freshKey() })
      expect([method, refused.status, raw.requests.length]).toEqual([method, 502, 1])
    }
  })
})

describe('an upstream that is too slow', () => {
  test('for its head gets the caller 504, and the request runs again under reexecute', async () => {
    upstream.reset(({ response }, count) => (count === 1 ? undefined : json(response, { count })))
    const key = freshKey()
    const refused = await send(gateway, { key })
    expect([refused.status, refused.how, refused.json['code'], refused.json['may_have_run']]).toEqual([
      504,
      'refused',
      'upstream_timeout',
      true,
    ])
    expect(refused.header('x-should-retry')).toBe('true')
    expect((await send(gateway, { key })).json).toEqual({ count: 2 })
  })

  test('is let go', async () => {
    upstream.reset(() => undefined)
    const asking = send(gateway, { key: freshKey() })
    const call = await upstream.call()
    expect((await asking).status).toBe(504)
    await call.closed
    expect(call.response.writableFinished).toBe(false)
  })

  test('makes the outcome unknown under unknown', async () => {
    upstream.reset(() => undefined)
    const key = freshKey()
    expect((await send(careful, { key })).status).toBe(504)
    expect((await send(careful, { key })).json['code']).toBe('outcome_unknown')
    expect(upstream.calls).toHaveLength(1)
  })

  test('gets the caller of a passed request 504 as well', async () => {
    upstream.reset(() => undefined)
    const refused = await send(gateway, { method: 'GET' })
    expect([refused.status, refused.json['code'], refused.header('x-should-retry')]).toEqual([
      504,
      'upstream_timeout',
      'false',
    ])
  })

  test('between two events of a stream has the stream cut', async () => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      response.write('data: a\n\n')
    })
    const answering = open(gateway, { key: freshKey() })
    await answering.has('data: a\n\n')
    expect((await answering.ended).complete).toBe(false)
  })

  test('is not too slow as long as bytes come', async () => {
    upstream.reset(({ response }) => {
      beginEvents(response)
      let left = 8
      const timer = setInterval(() => {
        response.write(`data: ${left}\n\n`)
        left -= 1
        if (left > 0) return
        clearInterval(timer)
        response.end()
      }, 200)
    })
    const answer = await send(gateway, { key: freshKey() })
    expect([answer.complete, answer.text.match(/data/g)?.length]).toEqual([true, 8])
  })
})
