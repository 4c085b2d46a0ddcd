/** Encryption at rest over every store: what is recorded is replayed by whoever has the key, and by nobody else. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open as openLmdb } from 'lmdb'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openai, wholeOf } from './events.ts'
import {
  answerOf,
  beginEvents,
  freshKey,
  type GatewayProgram,
  json,
  open,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'
import { keyFile } from './keyfiles.ts'
import { kinds, oncekey, type RunningStore } from './stores.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-encryption-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A stream request; its answer comes as the test writes it. */
const streamed = { path: openai.path, body: '{"stream":true}' }

describe.each(Object.entries(kinds))('encrypted in %s', (_, start) => {
  let store: RunningStore
  let upstream: ScriptedUpstream
  const gateways = new Set<GatewayProgram>()
  beforeAll(async () => {
    store = await start()
    upstream = await startUpstream()
  })
  beforeEach(() => upstream.reset())
  afterAll(async () => {
    for (const gateway of gateways) await gateway.kill()
    upstream?.close()
    await store?.stop()
  })

  /** A gateway with keys of these names. */
  async function gateway(ids: readonly string[], ...flags: string[]): Promise<GatewayProgram> {
    const started = await startGateway(upstream, ['--store', store.url, ...keyFile(...ids), ...flags])
    gateways.add(started)
    return started
  }

  /** An answer, a long one and a stream, each paid once by this gateway. */
  async function recorded(by: GatewayProgram) {
    const long = Buffer.alloc(700_000, 'a long answer ')
    upstream.reset(({ url, response }) => {
      if (url === openai.path) {
        beginEvents(response)
        response.end(wholeOf(openai))
      } else if (url === '/v1/long') response.end(long)
      else json(response, { content: 'an answer' })
    })
    const asked = ['/v1/things', '/v1/long', openai.path].map((path) => ({ path, key: freshKey(), body: '{"a":1}' }))
    const answers = []
    for (const one of asked) answers.push(await send(by, one))
    expect(answers.map(({ how, complete }) => `${how} ${complete}`)).toEqual(Array(3).fill('executed true'))
    expect(upstream.calls).toHaveLength(3)
    return { asked, bodies: answers.map(({ body }) => body) }
  }

  test('answers and streams are replayed after kill -9, and by another process whose first key is another', async () => {
    const first = await gateway(['k1', 'k2'])
    const { asked, bodies } = await recorded(first)
    await first.kill()
    for (const ids of [
      ['k1', 'k2'],
      ['k2', 'k1'],
    ]) {
      const other = await gateway(ids)
      for (const [at, one] of asked.entries()) {
        const again = await send(other, one)
        expect([one.path, again.how, again.body.equals(bodies[at] as Buffer)]).toEqual([one.path, 'replayed', true])
      }
    }
    expect(upstream.calls).toHaveLength(3)
  })

  test('a live stream is joined in another process, byte for byte, while keys are rotated', async () => {
    const [owner, other] = [await gateway(['k1', 'k2']), await gateway(['k2', 'k1'])]
    upstream.reset(({ response }) => beginEvents(response))
    const ask = { ...streamed, key: freshKey() }
    const first = open(owner, ask)
    const call = await upstream.call()
    const events = Array.from({ length: 40 }, (_, at) => `data: {"at":${at},"text":"${'x'.repeat(at * 300)}"}\n\n`)
    call.response.write(events[0])
    await first.has('"at":0')
    const second = open(other, ask)
    for (const event of events.slice(1)) {
      call.response.write(event)
      const seen = event.slice(0, 20)
      // It comes there while it runs, not at its end.
      await Promise.all([first.has(seen), second.has(seen)])
    }
    call.response.end(openai.end)
    const answers = [await answerOf(first), await answerOf(second), await send(other, ask), await send(owner, ask)]
    expect(answers.map(({ how }) => how)).toEqual(['executed', 'joined', 'replayed', 'replayed'])
    const whole = events.join('') + openai.end
    expect(answers.map(({ text, complete }) => complete && text === whole)).toEqual([true, true, true, true])
    expect(upstream.calls).toHaveLength(1)
  })

  test('a stream that died with its process is taken over, and nothing of the first attempt is shown', async () => {
    const dying = await gateway(['k1'], '--lease', '500ms', '--skew', '0s')
    upstream.reset(({ response }, count) => {
      beginEvents(response)
      if (count === 1) response.write(openai.begin[0])
      else response.end(wholeOf(openai))
    })
    const ask = { ...streamed, key: freshKey() }
    const cut = open(dying, ask)
    await cut.has('Hel')
    const other = await gateway(['k2', 'k1'], '--lease', '500ms', '--skew', '0s')
    const joined = open(other, ask)
    await joined.has('Hel')
    await dying.kill()
    expect((await joined.ended).complete).toBe(false)
    const again = await send(other, ask)
    expect([again.how, again.text]).toEqual(['executed', wholeOf(openai)])
    expect((await send(other, ask)).text).toBe(wholeOf(openai))
    expect(upstream.calls).toHaveLength(2)
  })

  test.each([
    ['taken out of the file', ['k2']],
    ['in no file at all', []],
  ])('with the key %s a record is refused with 409, named in it, logged, and never executed', async (_, ids) => {
    const { asked } = await recorded(await gateway(['k1']))
    const without = await gateway(ids)
    for (const one of asked) {
      const refused = await send(without, one)
      expect([refused.status, refused.how, refused.json['code']]).toEqual([409, 'refused', 'outcome_not_replayable'])
      expect(refused.header('x-should-retry')).toBe('false')
      expect(refused.json['detail']).toContain('"k1"')
      expect(refused.json['record_id']).toMatch(/^[\w-]{43}$/)
    }
    if (ids.length > 0) expect(without.stderr).toMatch(/encrypted with a key that this process does not have/)
    expect(upstream.calls).toHaveLength(3)
    const { key, ...fresh } = asked[0] as { key: string; path: string; body: string }
    // The control: with its key it is there, and another key of a caller executes.
    expect((await send(await gateway(['k1']), { key, ...fresh })).how).toBe('replayed')
    expect((await send(without, { key: freshKey(), ...fresh })).how).toBe('executed')
  })

  test('one who has not the key of a running stream is refused at once, and the stream goes on', async () => {
    const [owner, without] = [await gateway(['k1']), await gateway(['k2'])]
    upstream.reset(({ response }) => beginEvents(response))
    const ask = { ...streamed, key: freshKey() }
    const first = open(owner, ask)
    const call = await upstream.call()
    call.response.write(openai.begin[0])
    await first.has('Hel')
    const refused = await send(without, ask)
    expect([refused.status, refused.json['code']]).toEqual([409, 'outcome_not_replayable'])
    call.response.end(openai.begin[1] + openai.end)
    expect((await answerOf(first)).text).toBe(wholeOf(openai))
    expect(upstream.calls).toHaveLength(1)
  })

  test('what was recorded before encryption was turned on is still replayed', async () => {
    const { asked, bodies } = await recorded(await gateway([]))
    const on = await gateway(['k1'])
    for (const [at, one] of asked.entries()) {
      const again = await send(on, one)
      expect([again.how, again.body.equals(bodies[at] as Buffer)]).toEqual(['replayed', true])
    }
    expect(upstream.calls).toHaveLength(3)
  })

  test('operators see the status of an answer with the key file, and without it by which key it is encrypted', async () => {
    const { asked } = await recorded(await gateway(['k1']))
    const named = ['--key', asked[0]?.key as string, '--scope', 'POST /v1/things', '--credential-env', 'CALLER']
    const show = async (...flags: string[]) =>
      (await oncekey(['records', 'show', '--store', store.url, '--json', ...named, ...flags], { CALLER: 'alice' }))
        .json[0]
    expect(await show(...keyFile('k1'))).toMatchObject({ outcome: 'response 200', bodyBytes: 23 })
    for (const flags of [[], keyFile('k2')])
      expect(await show(...flags)).toMatchObject({ state: 'completed', outcome: 'response, encrypted with key "k1"' })
    const listed = await oncekey(['records', 'list', '--store', store.url, '--all', '--json', ...keyFile('k1', 'k2')])
    expect(listed.code).toBe(0)
    expect(listed.json.map(({ outcome }) => outcome)).not.toContain('response, encrypted with key "k1"')
  })

  test('an operator resolves an unknown record with the key file; without it nothing is written in clear', async () => {
    const cautious = await gateway(['k1'], '--on-abandoned', 'unknown')
    await send(cautious, { key: freshKey() })
    upstream.reset(({ response }) => json(response, { broken: true }, 500))
    const ask = { key: freshKey() }
    await send(cautious, ask)
    const refused = await send(cautious, ask)
    expect(refused.json['code']).toBe('outcome_unknown')
    const path = join(folder, 'outcome.json')
    writeFileSync(path, JSON.stringify({ status: 200, body: { told: 'by an operator' } }))
    const args = ['records', 'resolve', String(refused.json['record_id']), '--outcome', path, '--yes']
    const resolve = (...flags: string[]) => oncekey([...args, '--store', store.url, ...flags])
    const sentence = /^oncekey: Nothing was changed: .*"k[12]".*--encryption-key-file\.\n$/
    expect(await resolve()).toMatchObject({ code: 1, stderr: expect.stringMatching(sentence) })
    expect((await send(cautious, ask)).json['code']).toBe('outcome_unknown')
    expect(await resolve(...keyFile('k1'))).toMatchObject({ code: 0 })
    expect((await send(cautious, ask)).json).toEqual({ told: 'by an operator' })
    expect((await send(await gateway(['k2']), ask)).json['code']).toBe('outcome_not_replayable')
    expect(upstream.calls).toHaveLength(1)
  })
})

test('a long answer that was altered in the store is refused where it begins, and cut where it goes on', async () => {
  const long = Buffer.alloc(1_500_000, 'a long answer ')
  const upstream = await startUpstream(({ response }) => response.end(long))
  const place = mkdtempSync(join(folder, 'store-'))
  const flags = ['--store', `lmdb:${place}`, ...keyFile('k1')]
  const key = freshKey()
  const ask = async () => {
    const gateway = await startGateway(upstream, flags)
    const answer = await send(gateway, { key })
    await gateway.kill()
    return { answer, log: gateway.stderr }
  }
  expect((await ask()).answer.how).toBe('executed')
  for (const which of [-1, 0]) {
    const turn = async (): Promise<void> => {
      const raw = openLmdb<Buffer, (string | number)[]>({
        path: place,
        encoding: 'binary',
        useVersions: true,
        noSubdir: false,
      })
      const chunks = [...raw.getRange()].filter(({ value, key }) => key[0] === 'c' && value.length > 1_000)
      const { key: at, value, version } = chunks.at(which) as (typeof chunks)[number]
      const turned = Buffer.from(value)
      turned[500] = (turned[500] as number) ^ 1
      await raw.put(at, turned, version ?? 1)
      await raw.close()
    }
    await turn()
    const { answer, log } = await ask()
    expect(log).toMatch(/fails its authentication/)
    if (which === 0) expect([answer.status, answer.json['code']]).toEqual([409, 'outcome_not_replayable'])
    else {
      expect([answer.status, answer.complete]).toEqual([200, false])
      expect(answer.body.length).toBeLessThan(long.length)
      expect(answer.body.equals(long.subarray(0, answer.body.length))).toBe(true)
    }
    await turn()
    const { answer: whole } = await ask()
    expect([whole.how, whole.body.equals(long)]).toEqual(['replayed', true])
  }
  expect(upstream.calls).toHaveLength(1)
  upstream.close()
})

test('a key of the same name and other bytes opens nothing: 409, logged as altered, and not executed', async () => {
  const upstream = await startUpstream()
  const place = mkdtempSync(join(folder, 'store-'))
  const flags = ['--store', `lmdb:${place}`]
  const first = await startGateway(upstream, [...flags, ...keyFile('k1')])
  const key = freshKey()
  await send(first, { key })
  await first.kill()
  const path = join(folder, 'forged')
  writeFileSync(path, `k1 ${createHash('sha256').update('forged').digest('base64')}\n`, { mode: 0o600 })
  const forged = await startGateway(upstream, [...flags, '--encryption-key-file', path])
  const refused = await send(forged, { key })
  expect([refused.status, refused.json['code']]).toEqual([409, 'outcome_not_replayable'])
  expect(refused.json['detail']).toMatch(/authentication/)
  expect(forged.stderr).toMatch(/fails its authentication/)
  expect(upstream.calls).toHaveLength(1)
  await forged.kill()
  upstream.close()
})
