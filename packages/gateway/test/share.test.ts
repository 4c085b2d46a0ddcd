/** What a tenant may keep: its share of records and bytes, over processes and restarts, and what it still gets beyond it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  answerOf,
  beginEvents,
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
import { oncekey } from './stores.ts'

let upstream: ScriptedUpstream
let folder: string
const gateways: GatewayProgram[] = []
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.close())
beforeEach(() => {
  upstream.reset()
  folder = mkdtempSync(join(tmpdir(), 'oncekey-share-'))
})
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.kill()
  rmSync(folder, { recursive: true, force: true })
})

async function start(...flags: string[]): Promise<GatewayProgram> {
  const gateway = await startGateway(upstream, flags)
  gateways.push(gateway)
  return gateway
}

const lmdb = (): string[] => ['--store', `lmdb:${folder}`]
const greedy = 'Bearer greedy'
const refused = ['refused', 429, 'quota_exceeded']
const executed = ['executed', 200]

async function ask(gateway: GatewayProgram, sent: Sent = {}): Promise<unknown[]> {
  const answer = await send(gateway, { as: greedy, key: freshKey(), ...sent })
  return [answer.how, answer.status, ...(answer.status === 200 ? [] : [answer.json['code']])]
}

/** Makes up keys on so many connections for so long; answers how many requests were sent. */
async function flood(to: readonly GatewayProgram[], connections: number, forMs: number): Promise<number> {
  const endMs = performance.now() + forMs
  let sent = 0
  const one = async (gateway: GatewayProgram): Promise<void> => {
    while (performance.now() < endMs) {
      sent += 1
      await ask(gateway)
    }
  }
  await Promise.all(to.flatMap((gateway) => Array.from({ length: connections }, () => one(gateway))))
  return sent
}

describe.each([
  ['memory', () => []],
  ['LMDB', lmdb],
] as const)('a tenant that keeps three records of three, on %s', (_, store) => {
  test('executes nothing anew, gets what is recorded, and is in nobody’s way', async () => {
    const gateway = await start('--tenant-records', '3', ...store())
    const keys = [1, 2, 3].map(freshKey)
    for (const key of keys) expect(await ask(gateway, { key })).toEqual(executed)
    const answer = await send(gateway, { as: greedy, key: freshKey() })
    expect([answer.how, answer.status, answer.json['code']]).toEqual(refused)
    // Hours away, so no client is told to try again by itself.
    expect([answer.header('x-should-retry'), answer.header('retry-after')]).toEqual(['false', undefined])
    expect(answer.json['detail']).toMatch(/3 recorded outcomes, is taken\..* in 2[45] h/)
    for (const key of keys) expect(await ask(gateway, { key })).toEqual(['replayed', 200])
    expect(await ask(gateway, { key: keys[0] ?? '', body: 'x' })).toEqual(['refused', 422, 'fingerprint_mismatch'])
    expect(await ask(gateway, { method: 'GET' })).toEqual(['ignored', 200])
    expect(upstream.calls.map(({ method }) => method)).toEqual(['POST', 'POST', 'POST', 'GET'])
    expect(await ask(gateway, { as: 'Bearer other', key: keys[0] ?? '' })).toEqual(executed)
    expect(await ask(gateway)).toEqual(refused)
    expect(upstream.calls).toHaveLength(5)
  })

  test('executes again when the retention is over', async () => {
    const gateway = await start('--tenant-records', '2', '--retention', '2s', ...store())
    const keys = [1, 2].map(freshKey)
    for (const key of keys) expect(await ask(gateway, { key })).toEqual(executed)
    const answer = await send(gateway, { as: greedy, key: freshKey() })
    expect([answer.status, answer.header('x-should-retry')]).toEqual([429, 'true'])
    const waitMs = Number(answer.header('retry-after-ms'))
    expect([waitMs > 0, waitMs <= 3_000]).toEqual([true, true])
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    for (const key of keys) expect(await ask(gateway, { key })).toEqual(executed)
    expect(await ask(gateway)).toEqual(refused)
    expect(upstream.calls).toHaveLength(4)
  })
})

describe('a tenant that keeps a kilobyte of one', () => {
  test('executes nothing anew, whole answers and streams alike', async () => {
    const gateway = await start('--tenant-bytes', '1kb')
    upstream.script = ({ response }) => json(response, 'x'.repeat(598))
    expect(await ask(gateway)).toEqual(executed)
    upstream.script = ({ response }) => {
      beginEvents(response)
      response.end(`data: ${'x'.repeat(410)}\n\ndata: [DONE]\n\n`)
    }
    const key = freshKey()
    const streamed = { as: greedy, key, path: '/v1/chat/completions' }
    expect((await send(gateway, streamed)).text).toMatch(/DONE/)
    expect(await ask(gateway)).toEqual(refused)
    expect([(await send(gateway, streamed)).how, upstream.calls.length]).toEqual(['replayed', 2])
  })

  test('may execute what leaves no bytes: failures, and answers too large to be kept', async () => {
    const gateway = await start('--tenant-bytes', '1kb', '--tenant-records', '3', '--max-outcome', '2kb')
    upstream.script = ({ response }) => json(response, 'x'.repeat(5_000), 503)
    for (let at = 0; at < 4; at++) expect((await send(gateway, { as: greedy, key: freshKey() })).status).toBe(503)
    upstream.script = ({ response }) => json(response, 'x'.repeat(5_000))
    // They are records all the same.
    for (let at = 0; at < 3; at++) expect(await ask(gateway)).toEqual(executed)
    expect(await ask(gateway)).toEqual(refused)
    expect(upstream.calls).toHaveLength(7)
  })
})

test('what runs has its place in the share, is joined, and gives the place back where it leaves no outcome', async () => {
  const gateway = await start('--tenant-records', '2')
  upstream.reset(() => undefined)
  const keys = [freshKey(), freshKey()]
  const running = keys.map((key) => open(gateway, { as: greedy, key }))
  await upstream.call(2)
  const answer = await send(gateway, { as: greedy, key: freshKey() })
  expect([answer.status, answer.header('retry-after'), answer.header('x-should-retry')]).toEqual([429, '1', 'true'])
  const joined = open(gateway, { as: greedy, key: keys[0] ?? '' })
  await until(() => joined.request.socket?.bytesWritten !== 0)
  for (let at = 0; at < 5; at++) expect(await ask(gateway)).toEqual(refused)
  for (const { response } of upstream.calls) json(response, 'busy', 429)
  for (const one of [...running, joined]) expect((await answerOf(one)).status).toBe(429)
  expect(upstream.calls).toHaveLength(2)
  upstream.script = ({ response }) => json(response, 'done')
  expect(await ask(gateway)).toEqual(executed)
  expect(await ask(gateway)).toEqual(executed)
  expect(await ask(gateway)).toEqual(refused)
})

describe('two processes on one store', () => {
  test('know of each other’s records within seconds, and of all after they were killed', async () => {
    const flags = ['--tenant-records', '4', ...lmdb()]
    const [one, other] = [await start(...flags), await start(...flags)]
    const key = freshKey()
    expect(await ask(one, { key })).toEqual(executed)
    for (let at = 0; at < 3; at++) expect(await ask(one)).toEqual(executed)
    expect(await ask(one)).toEqual(refused)
    // Nobody but the greedy one waits for the news.
    let late = 0
    for (let answer = await ask(other); answer[1] === 200; answer = await ask(other)) {
      late += 1
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    expect(late).toBeLessThanOrEqual(4)
    expect(await ask(other, { key })).toEqual(['replayed', 200])
    expect(await ask(other, { as: 'Bearer other', key })).toEqual(executed)
    await Promise.all([one.kill(), other.kill()])
    const next = await start(...flags)
    expect(await ask(next)).toEqual(refused)
    expect(await ask(next, { key })).toEqual(['replayed', 200])
    expect(upstream.calls).toHaveLength(4 + late + 1)
    const bill = await oncekey(['ledger', '--by', 'tenant', '--json', ...lmdb()])
    expect(bill.json.map(({ executed }) => executed)).toEqual(expect.arrayContaining([1, 4 + late, 5 + late]))
    expect(bill.json).toHaveLength(3)
  })

  test('let one who makes up keys as fast as he can have his share in each at most, and then nothing', async () => {
    const [share, connections] = [30, 6]
    const flags = ['--tenant-records', String(share), ...lmdb()]
    const both = [await start(...flags), await start(...flags)]
    // 2 s, jittered by a quarter, and the time of a read.
    const sent = await flood(both, connections, 3_500)
    const left = upstream.calls.length
    // One more for each claim that was under way when the last place was taken.
    expect(left).toBeLessThanOrEqual(2 * (share + connections))
    expect(left).toBeGreaterThanOrEqual(share)
    expect(sent).toBeGreaterThan(4 * left)
    await flood(both, connections, 500)
    expect(upstream.calls).toHaveLength(left)
    expect((await oncekey(['records', 'list', '--json', '--all', ...lmdb()])).json).toHaveLength(left)
  })

  test('the control: without a quota he leaves as much as he likes', async () => {
    const both = [await start(...lmdb()), await start(...lmdb())]
    const sent = await flood(both, 6, 1_000)
    expect(sent).toBeGreaterThan(72)
    expect(upstream.calls).toHaveLength(sent)
  })
})

test('one process alone lets him have his share, and one more for each claim that is under way', async () => {
  const gateway = await start('--tenant-records', '10')
  expect(await flood([gateway], 8, 700)).toBeGreaterThan(40)
  expect(upstream.calls.length).toBeLessThanOrEqual(10 + 7)
  expect(upstream.calls.length).toBeGreaterThanOrEqual(10)
})
