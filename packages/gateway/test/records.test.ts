/** `oncekey records` over every store, beside a gateway that works on it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  freshKey,
  type GatewayProgram,
  json,
  open,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'
import { kinds, oncekey, onTerminal, type RunningStore } from './stores.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-records-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, content: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

describe.each(Object.entries(kinds))('records in %s', (_, start) => {
  let store: RunningStore
  let upstream: ScriptedUpstream
  let gateway: GatewayProgram
  beforeAll(async () => {
    store = await start()
    upstream = await startUpstream()
    const flags = ['--on-abandoned', 'unknown', '--lease', '3s', '--skew', '200ms']
    gateway = await startGateway(upstream, [...flags, '--store', store.url])
  })
  beforeEach(() => upstream.reset())
  afterAll(async () => {
    await gateway?.kill()
    upstream?.close()
    await store?.stop()
  })

  const records = (...args: string[]) => oncekey(['records', ...args, '--store', store.url])

  /** A key whose outcome nobody knows, and its record id. */
  async function unknown(): Promise<{ key: string; id: string }> {
    const key = freshKey()
    upstream.reset(({ response }) => json(response, { broken: true }, 500))
    await send(gateway, { key })
    upstream.reset()
    const refused = await send(gateway, { key })
    expect(refused.json['code']).toBe('outcome_unknown')
    return { key, id: String(refused.json['record_id']) }
  }

  test('cancel stops a running one, which under unknown is not run again; what has ended is left alone', async () => {
    const key = freshKey()
    upstream.reset(() => undefined)
    const call = open(gateway, { key })
    await upstream.call()
    const [running] = (await records('list', '--state', 'running', '--json')).json
    const cancelled = await records('cancel', String(running?.['recordId']), '--yes')
    expect(cancelled).toMatchObject({ code: 0, stdout: expect.stringMatching(/ is unknown now\./) })
    expect(cancelled.stderr).toMatch(/"action":"cancel".*"from":"running","to":"unknown"/)
    expect((await call.head).statusCode).toBe(409)
    expect((await send(gateway, { key })).json['code']).toBe('outcome_unknown')
    const again = await records('cancel', String(running?.['recordId']), '--yes')
    expect([again.code, again.stderr]).toEqual([
      1,
      expect.stringMatching(/Nothing was changed: record \S+ is unknown now/),
    ])
  })

  test('show finds a record by its id, and by the key with the credential in a variable', async () => {
    const key = freshKey()
    await send(gateway, { key, path: '/v1/shown', as: 'Bearer sk-shown' })
    const args = ['--key', key, '--scope', 'POST /v1/shown', '--credential-env', 'CALLER', '--json']
    const byKey = await oncekey(['records', 'show', '--store', store.url, ...args], { CALLER: 'sk-shown' })
    const [view] = byKey.json
    expect(view).toMatchObject({ state: 'completed', attempt: 1, outcome: 'response 200', resolved: false })
    const byId = await records('show', String(view?.['recordId']))
    expect(byId.code).toBe(0)
    expect(byId.stdout).toContain('response 200')
    // The control: the same key of somebody else is another record.
    const other = await oncekey(['records', 'show', '--store', store.url, ...args], { CALLER: 'sk-other' })
    expect(other).toMatchObject({ code: 1, stdout: '' })
    expect(other.stderr).toMatch(/^oncekey: No record was found under this key\..*--credential-env.*\n$/)
    for (const { stdout, stderr } of [byKey, byId, other]) {
      for (const secret of ['sk-shown', 'sk-other', key]) expect(stdout + stderr).not.toContain(secret)
    }
  })

  test('list shows each record once, page after page, and by its state', async () => {
    const { id } = await unknown()
    for (let count = 0; count < 4; count++) await send(gateway, { key: freshKey() })
    const whole = (await records('list', '--all', '--json')).json.map(({ recordId }) => recordId)
    expect(whole.length).toBeGreaterThanOrEqual(5)
    expect(new Set(whole).size).toBe(whole.length)
    const paged: unknown[] = []
    for (let more: string[] = []; ; ) {
      const page = (await records('list', '--limit', '2', '--json', ...more)).json
      paged.push(...page.flatMap(({ recordId }) => recordId ?? []))
      const cursor = page.at(-1)?.['cursor']
      if (cursor === undefined) break
      more = ['--cursor', String(cursor)]
    }
    expect(paged.toSorted()).toEqual(whole.toSorted())
    const left = (await records('list', '--state', 'unknown', '--all', '--json')).json
    expect(left.map(({ recordId }) => recordId)).toContain(id)
    expect(new Set(left.map(({ state }) => state))).toEqual(new Set(['unknown']))
    // A cursor may be an id, and an id may begin with a dash.
    expect((await records('list', '--cursor', `-${'A'.repeat(42)}`)).stderr).not.toMatch(/ambiguous|--help/)
    expect((await records('list')).stdout).toMatch(/^record id +state +attempt +created +outcome\n/)
  })

  test('release lets the key execute again, once, and says who did it', async () => {
    const { key, id } = await unknown()
    const released = await records('release', id, '--yes')
    expect([released.code, released.stdout]).toEqual([0, `Record ${id} is released now.\n`])
    expect(JSON.parse(released.stderr)).toMatchObject({
      audit: 'oncekey',
      who: userInfo().username,
      action: 'release',
      recordId: id,
      from: 'unknown',
      to: 'released',
    })
    expect((await records('show', id, '--json')).json[0]).toMatchObject({ state: 'released', resolved: true })
    const answer = await send(gateway, { key })
    expect([answer.status, answer.how]).toEqual([200, 'executed'])
    const again = await records('release', id, '--yes')
    expect(again).toMatchObject({ code: 1, stdout: '' })
    expect(again.stderr).toMatch(/^oncekey: Nothing was changed: .* is completed now\. .*\n$/)
    expect((await send(gateway, { key })).how).toBe('replayed')
    expect(upstream.calls).toHaveLength(1)
  })

  test('resolve records the outcome in the file, and every retry gets it', async () => {
    const { key, id } = await unknown()
    const headers = { 'content-type': 'application/json' }
    const outcome = file('outcome.json', { status: 201, headers, body: { id: 'batch_67' } })
    const resolved = await records('resolve', id, '--outcome', outcome, '--yes', '--json')
    expect(resolved.json[0]).toMatchObject({ state: 'completed', resolved: true, outcome: 'response 201' })
    expect(JSON.parse(resolved.stderr)).toMatchObject({ action: 'resolve', from: 'unknown', to: 'completed' })
    const answer = await send(gateway, { key })
    expect([answer.status, answer.how, answer.text]).toEqual([201, 'replayed', '{"id":"batch_67"}'])
    expect(answer.header('content-type')).toBe('application/json')
    expect(upstream.calls).toHaveLength(0)
  })

  test('without a terminal and --yes nothing is changed', async () => {
    const { id } = await unknown()
    const refused = await records('release', id)
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/^oncekey: This cannot be undone.*--yes\.\n$/)
    expect((await records('show', id, '--json')).json[0]).toMatchObject({ state: 'unknown', resolved: false })
  })

  test('on a terminal it asks, and only a yes changes anything', async () => {
    const { id } = await unknown()
    for (const [typed, code, state] of [
      ['\n', 1, 'unknown'],
      ['n\n', 1, 'unknown'],
      ['y\n', 0, 'released'],
    ] as const) {
      const asked = await onTerminal(['records', 'release', id, '--store', store.url], typed)
      expect(asked.output).toMatch(/is unknown since .*Release it\? .*second time\. \[y\/N\]/)
      expect([typed, asked.code]).toEqual([typed, code])
      expect((await records('show', id, '--json')).json[0]).toMatchObject({ state })
    }
  })

  test('the store may be named by a variable', async () => {
    const ran = await oncekey(['records', 'list'], { ONCEKEY_STORE: store.url })
    expect(ran.code).toBe(0)
  })

  test('a running record can be released, and its owner is refused', async () => {
    const key = freshKey()
    upstream.reset(() => undefined)
    const owner = open(gateway, { key })
    const call = await upstream.call()
    const [running] = (await records('list', '--state', 'running', '--json')).json
    expect(running).toBeDefined()
    const released = await records('release', String(running?.['recordId']), '--yes')
    expect(released.code).toBe(0)
    json(call.response, { late: true })
    await owner.ended
    expect((await records('show', String(running?.['recordId']), '--json')).json[0]).toMatchObject({ resolved: true })
  })

  test('purge of one record asks, removes it for good, and its key executes as new', async () => {
    const key = freshKey()
    await send(gateway, { key, path: '/v1/purged', as: 'Bearer sk-purged' })
    const args = ['--key', key, '--scope', 'POST /v1/purged', '--credential-env', 'CALLER']
    const env = { CALLER: 'sk-purged' }
    const asked = await oncekey(['records', 'purge', '--store', store.url, ...args], env)
    expect([asked.code, asked.stderr]).toEqual([2, expect.stringContaining('--yes')])
    const purged = await oncekey(['records', 'purge', '--store', store.url, ...args, '--yes', '--json'], env)
    expect(purged.json).toEqual([{ recordId: expect.any(String), state: 'absent' }])
    expect(JSON.parse(purged.stderr)).toMatchObject({ action: 'purge', from: 'completed', to: 'absent' })
    const again = await send(gateway, { key, path: '/v1/purged', as: 'Bearer sk-purged' })
    expect(again.how).toBe('executed')
  })

  test('purge refuses a record that runs, and says what to do', async () => {
    const key = freshKey()
    upstream.reset(() => undefined)
    const running = open(gateway, { key, path: '/v1/running', as: 'Bearer sk-runs' })
    const args = ['--key', key, '--scope', 'POST /v1/running', '--credential-env', 'CALLER', '--yes']
    const env = { CALLER: 'sk-runs' }
    await expect
      .poll(() => oncekey(['records', 'purge', '--store', store.url, ...args], env))
      .toMatchObject({ code: 1, stderr: expect.stringContaining('End it first') })
    running.hangUp()
  })

  test('purge leaves what is not due, and counts', async () => {
    const key = freshKey()
    await send(gateway, { key })
    const purged = await records('purge', '--json')
    expect(purged.code).toBe(0)
    expect(purged.json).toEqual([{ abandoned: 0, expired: 0, purged: 0, released: 0 }])
    expect((await send(gateway, { key })).how).toBe('replayed')
  })
})

describe.concurrent('one sentence for', () => {
  const id = 'A'.repeat(43)
  const wrong: [string, string[], number, RegExp][] = [
    ['no action', ['records'], 2, /one of list, show, resolve, release, cancel, purge/],
    ['an action nobody knows', ['records', 'drop'], 2, /"drop" is none/],
    ['an unknown flag', ['records', 'list', '--frob'], 2, /--frob.*records list --help/],
    ['a state nobody knows', ['records', 'list', '--state', 'stuck'], 2, /--state is "stuck".*unknown/],
    ['a limit of none', ['records', 'list', '--limit', '0'], 2, /--limit is "0"/],
    ['no record named', ['records', 'show'], 2, /by its id or by --key/],
    ['a record named twice', ['records', 'show', id, '--key', 'k'], 2, /not by both/],
    ['a record that is not there', ['records', 'show', id], 1, /no record A+: its key/],
    ['an id that begins with a dash', ['records', 'show', `-${id.slice(1)}`], 1, /no record -A+: its key/],
    ['two records that begin so', ['records', 'show', `-${id.slice(1)}`, `--${id.slice(2)}`], 2, /one \[RECORD_ID\]/],
    ['two records', ['records', 'show', id, id], 2, /one \[RECORD_ID\]/],
    ['a scope without a key', ['records', 'show', id, '--scope', 'x'], 2, /--scope goes with --key/],
    [
      'a variable that is not set',
      ['records', 'show', '--key', 'k', '--credential-env', 'NOT_SET_HERE'],
      2,
      /NOT_SET_HERE/,
    ],
    ['no outcome', ['records', 'resolve', id, '--yes'], 2, /--outcome FILE/],
    ['an outcome that is not there', ['records', 'resolve', id, '--outcome', '/nowhere/o'], 2, /\/nowhere\/o.*ENOENT/],
    [
      'a store that is not there',
      ['records', 'list', '--store', `lmdb:${folder}/none`],
      1,
      /no store at .*none.*--store/,
    ],
    ['a store that is gone with its process', ['records', 'list', '--store', 'memory:'], 2, /memory:/],
    ['a store nobody knows', ['records', 'list', '--store', 'mysql://a'], 2, /"mysql:\/\/a"/],
    ['nothing to migrate', ['migrate', '--store', 'lmdb:x'], 2, /only postgres:\/\/ has/],
    ['a level nobody knows', ['doctor', '--level', 'moon'], 2, /--level is "moon".*process, disk, replicated/],
  ]
  test.each(wrong)('%s', async (_, args, code, sentence) => {
    const here = args.includes('--store') ? [] : ['--store', `lmdb:${folder}`]
    const answer = await oncekey(args.length > 1 || args[0] !== 'records' ? [...args, ...here] : args)
    expect([answer.stderr, answer.code]).toEqual([answer.stderr, code])
    expect(answer.stderr).toMatch(sentence)
    expect(answer.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(answer.stdout).toBe('')
  })

  test.each([
    ['no JSON', 'status: 200', /is not JSON/],
    ['a list', [], /a JSON object/],
    ['an unknown member', { status: 200, text: 'x' }, /unknown member "text"/],
    ['neither a status nor a value', {}, /either a status/],
    ['both', { status: 200, value: 1 }, /either a status/],
    ['a status that is none', { status: 99 }, /200 to 599/],
    ['a header of two lines', { status: 200, headers: { a: 'b\r\nc: d' } }, /names and texts/],
    ['two bodies', { status: 200, body: 'a', bodyBase64: 'YQ==' }, /both a body/],
  ])('an outcome with %s', async (_, content, sentence) => {
    const path = file(`outcome${Math.random()}.json`, content)
    const answer = await oncekey(['records', 'resolve', id, '--outcome', path, '--store', `lmdb:${folder}`])
    expect(answer).toMatchObject({ code: 2, stdout: '' })
    expect(answer.stderr).toMatch(sentence)
    expect(answer.stderr).toContain(path)
  })
})
