/** The records API over every store: what `oncekey records` says and does, over HTTP. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Admin } from '../../../../test/e2e/admin.ts'
import {
  freshKey,
  type GatewayProgram,
  json,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
  until,
} from '../harness.ts'
import { keyFile } from '../keyfiles.ts'
import { kinds, oncekey, type RunningStore } from '../stores.ts'

describe.each(Object.entries(kinds))('records in %s', (_, start) => {
  let store: RunningStore
  let upstream: ScriptedUpstream
  let gateway: GatewayProgram
  let admin: Admin
  beforeAll(async () => {
    store = await start()
    upstream = await startUpstream()
    gateway = await startGateway(upstream, ['--on-abandoned', 'unknown', '--store', store.url, '--admin-port', '0'])
    admin = new Admin(gateway.stdout)
  })
  beforeEach(() => upstream.reset())
  afterAll(async () => {
    await gateway?.kill()
    upstream?.close()
    await store?.stop()
  })

  const cli = (...args: string[]) => oncekey(['records', ...args, '--store', store.url, '--json'])

  /** A key whose outcome nobody knows, and its record. */
  async function unknown(): Promise<{ key: string; path: string; id: string }> {
    const key = freshKey()
    upstream.reset(({ response }) => json(response, { broken: true }, 500))
    await send(gateway, { key })
    upstream.reset()
    const id = String((await send(gateway, { key })).json['record_id'])
    return { key, id, path: `/v1/records/${id}` }
  }

  /** The audit lines about a record. */
  async function audited(id: string, count: number): Promise<Record<string, unknown>[]> {
    const lines = () => gateway.stderr.split('\n').filter((line) => line.startsWith('{"audit"') && line.includes(id))
    await until(() => lines().length >= count)
    return lines().map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  test('list and show answer what the command prints, page by page and by state', async () => {
    for (let count = 0; count < 5; count++) await send(gateway, { key: freshKey() })
    const { id } = await unknown()
    expect((await admin.ask(`/v1/records/${id}`)).json).toEqual((await cli('show', id)).json[0])
    const printed = (await cli('list', '--all')).json
    const found: unknown[] = []
    for (let query = 'limit=2'; query !== ''; ) {
      const { json: page } = await admin.ask(`/v1/records?${query}`)
      found.push(...(page['records'] as unknown[]))
      query = page['cursor'] === undefined ? '' : `limit=2&cursor=${encodeURIComponent(String(page['cursor']))}`
    }
    const sorted = (views: readonly unknown[]) => views.map((view) => JSON.stringify(view)).sort()
    expect(sorted(found)).toEqual(sorted(printed))
    const states = (await admin.records('unknown')).map(({ state }) => state)
    expect(states.length).toBeGreaterThan(0)
    expect(new Set(states)).toEqual(new Set(['unknown']))
  })

  test('release lets the key execute again, resolve gives every retry the outcome; both are audited with who asked', async () => {
    const first = await unknown()
    const released = await admin.ask(`${first.path}/release`, { method: 'POST' })
    expect(released).toMatchObject({ status: 200, json: { state: 'released', resolved: true } })
    expect((await send(gateway, { key: first.key })).how).toBe('executed')
    const second = await unknown()
    const outcome = JSON.stringify({ status: 200, headers: { 'content-type': 'application/json' }, body: { id: 'b' } })
    const resolved = await admin.ask(`${second.path}/resolve`, { method: 'POST', body: outcome })
    expect(resolved).toMatchObject({ status: 200, json: { state: 'completed', outcome: 'response 200' } })
    expect(await send(gateway, { key: second.key })).toMatchObject({ how: 'replayed', json: { id: 'b' } })
    expect(await audited(first.id, 1)).toMatchObject([
      { action: 'release', who: 'admin 127.0.0.1', from: 'unknown', to: 'released', attempt: 1 },
    ])
    expect(await audited(second.id, 1)).toMatchObject([{ action: 'resolve', who: 'admin 127.0.0.1' }])
  })

  test('a purge has to be asked for by name', async () => {
    const { id, path, key } = await unknown()
    expect(await admin.ask(path, { method: 'DELETE' })).toMatchObject({ status: 409, json: { state: 'unknown' } })
    expect((await send(gateway, { key })).json['code']).toBe('outcome_unknown')
    const gone = await admin.ask(`${path}?purge=true`, { method: 'DELETE' })
    expect(gone).toMatchObject({ status: 200, json: { recordId: id, state: 'absent' } })
    expect(await audited(id, 1)).toMatchObject([{ action: 'purge', to: 'absent' }])
    expect(await admin.ask(path)).toMatchObject({ status: 404, json: { code: 'record_absent' } })
  })

  test('nothing is changed for whoever has seen another attempt, or ends what has ended', async () => {
    const { path } = await unknown()
    const before = (await admin.ask(path)).json
    for (const [method, action] of [
      ['POST', '/release'],
      ['POST', '/resolve'],
      ['DELETE', ''],
    ]) {
      const stale = await admin.ask(`${path}${action}?attempt=another`, { method: method!, body: '{"status":200}' })
      expect(stale).toMatchObject({ status: 409, json: { code: 'record_moved' } })
    }
    expect((await admin.ask(path)).json).toEqual(before)
    const right = await admin.ask(`${path}/release?attempt=${before['attemptId']}`, { method: 'POST' })
    expect(right.status).toBe(200)
    const again = await admin.ask(`${path}/release`, { method: 'POST' })
    expect(again).toMatchObject({ status: 409, json: { code: 'record_moved', state: 'released' } })
  })

  test('what cannot be right is refused with its name, and changes nothing', async () => {
    const { path } = await unknown()
    const asks: readonly (readonly [string, string, string | undefined, RegExp])[] = [
      ['GET', '/v1/records?state=lost', undefined, /state must be one of running, completed/],
      ['GET', '/v1/records?limit=0', undefined, /limit must be a whole number/],
      ['GET', '/v1/records?limit=5&limit=6', undefined, /"limit"/],
      ['GET', '/v1/records?stat=unknown', undefined, /"stat", and this path takes state, limit, cursor/],
      ['GET', '/v1/ledger?by=colour', undefined, /by has "colour"/],
      ['GET', '/v1/ledger?since=yesterday', undefined, /since is "yesterday"/],
      ['POST', `${path}/resolve`, 'no json', /The body is not JSON/],
      ['POST', `${path}/resolve`, '{"status":99}', /The body must have a status from 200 to 599/],
      ['POST', `${path}/resolve`, '{"stat":200}', /unknown member "stat"/],
    ]
    for (const [method, ask, body, sentence] of asks) {
      const answer = await admin.ask(ask, { method, ...(body === undefined ? {} : { body }) })
      expect(answer).toMatchObject({ status: 400, json: { code: 'request_invalid' } })
      expect(answer.json['detail']).toMatch(sentence)
    }
    const large = await admin.ask(`${path}/resolve`, { method: 'POST', body: 'x'.repeat(17 * 1024 * 1024) })
    expect(large).toMatchObject({ status: 413, json: { code: 'body_too_large' } })
    expect((await admin.ask(path)).json['state']).toBe('unknown')
  })

  test('the ledger is what the command prints', async () => {
    const { lines, total } = (await admin.ask('/v1/ledger?by=route,model')).json as { lines: object[]; total: object }
    const printed = (await oncekey(['ledger', '--store', store.url, '--by', 'route,model', '--json'])).json
    expect(lines.length).toBeGreaterThan(0)
    expect([...lines, total]).toEqual(printed)
  })
})

test('an outcome in clear is not put among encrypted ones by a gateway without the keys', async () => {
  const store = await kinds.lmdb()
  const upstream = await startUpstream()
  const keyed = await startGateway(upstream, ['--store', store.url, ...keyFile('k1')])
  await send(keyed, { key: freshKey() })
  await keyed.kill()
  const clear = await startGateway(upstream, ['--store', store.url, '--on-abandoned', 'unknown', '--admin-port', '0'])
  upstream.reset(({ response }) => json(response, {}, 500))
  await send(clear, { key: freshKey() })
  const admin = new Admin(clear.stdout)
  const [record] = await admin.records('unknown')
  const path = `/v1/records/${record?.['recordId']}/resolve`
  const refused = await admin.ask(path, { method: 'POST', body: '{"status":200}' })
  expect(refused).toMatchObject({ status: 409, json: { detail: expect.stringMatching(/encrypted with the key "k1"/) } })
  await clear.kill()
  upstream.close()
  await store.stop()
})
