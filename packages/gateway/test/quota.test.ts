/** A noisy tenant leaves room for the others: requests at a time, and memory for bodies. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  answerOf,
  freshKey,
  type GatewayProgram,
  json,
  open,
  type ScriptedUpstream,
  type Sent,
  send,
  startGateway,
  startUpstream,
  until,
} from './harness.ts'

let upstream: ScriptedUpstream
let gateway: GatewayProgram
beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway(upstream, ['--tenant-requests', '3'])
})
afterAll(async () => {
  await gateway.kill()
  upstream.close()
})
beforeEach(() => upstream.reset())

const noisy = 'Bearer noisy'
const refusedAs = ['refused', 429, 'quota_exceeded']

async function ask(sent: Sent, to = gateway): Promise<unknown[]> {
  const answer = await send(to, sent)
  return [answer.how, answer.status, ...(answer.status === 200 ? [] : [answer.json['code']])]
}

describe('a tenant with a quota of three requests', () => {
  test('gets 429 with a hint for the fourth, of whatever kind, and others are served', async () => {
    upstream.reset(() => undefined)
    const key = freshKey()
    const running = [open(gateway, { as: noisy, key })]
    await upstream.call(1)
    // A joiner and one that is passed through count as well.
    running.push(open(gateway, { as: noisy, key }), open(gateway, { as: noisy, method: 'GET' }))
    await upstream.call(2)
    await until(() => running[1]?.request.socket?.bytesWritten !== 0)
    for (const sent of [{ key: freshKey() }, { key }, { method: 'GET' }, {}]) {
      const refused = await send(gateway, { as: noisy, ...sent })
      expect([refused.how, refused.status, refused.json['code']]).toEqual(refusedAs)
      expect([refused.header('retry-after'), refused.header('x-should-retry')]).toEqual(['1', 'true'])
    }
    upstream.script = ({ response }) => json(response, 'other')
    expect(await ask({ as: 'Bearer other', key })).toEqual(['executed', 200])
    for (const { response } of upstream.calls.slice(0, 2)) if (!response.writableEnded) json(response, 'late')
    for (const answer of running) expect((await answerOf(answer)).status).toBe(200)
    expect(await ask({ as: noisy, key: freshKey() })).toEqual(['executed', 200])
  })

  test('has one less while a call goes on for a caller who has hung up', async () => {
    upstream.reset(() => undefined)
    for (let count = 1; count <= 3; count++) {
      const gone = open(gateway, { as: noisy, key: freshKey() })
      await upstream.call(count)
      gone.hangUp()
      await gone.ended
    }
    expect(await ask({ as: noisy, key: freshKey() })).toEqual(refusedAs)
    for (const { response } of upstream.calls) json(response, 'drained')
    upstream.script = ({ response }) => json(response, 'next')
    let answer = await ask({ as: noisy, key: freshKey() })
    while (answer[1] === 429) answer = await ask({ as: noisy, key: freshKey() })
    expect(answer).toEqual(['executed', 200])
  })

  test('has them back after refusals, mistakes and hang-ups of every kind', async () => {
    for (let round = 0; round < 5; round++) {
      await send(gateway, { as: noisy, key: 'a, b' })
      await send(gateway, { as: noisy, key: freshKey(), path: '/../x' })
      await send(gateway, { as: noisy, key: freshKey(), body: Buffer.alloc(65 * 1024 * 1024) }).catch(() => undefined)
      const gone = open(gateway, { as: noisy, key: freshKey(), headers: ['Content-Length', '10'], body: 'x' })
      gone.hangUp()
      await gone.ended
    }
    const all = await Promise.all([1, 2, 3].map(() => ask({ as: noisy, key: freshKey() })))
    expect(all).toEqual(all.map(() => ['executed', 200]))
  })

  test('shares it with nobody but those who send no credential at all', async () => {
    upstream.reset(() => undefined)
    const running = [1, 2, 3].map(() => open(gateway, { as: null, method: 'GET' }))
    await upstream.call(3)
    expect(await ask({ as: null, method: 'GET' })).toEqual(refusedAs)
    upstream.script = ({ response }) => json(response, 'other')
    expect(await ask({ as: noisy, method: 'GET' })).toEqual(['ignored', 200])
    for (const { response } of upstream.calls.slice(0, 3)) json(response, 'late')
    await Promise.all(running.map(answerOf))
  })
})

test('the control: without a quota a tenant has what it asks for', async () => {
  const open0 = await startGateway(upstream)
  upstream.reset(() => undefined)
  const running = Array.from({ length: 20 }, () => open(open0, { as: noisy, key: freshKey() }))
  await upstream.call(20)
  for (const { response } of upstream.calls) json(response, 'done')
  for (const answer of running) expect((await answerOf(answer)).status).toBe(200)
  await open0.kill()
})
