/** A route that reconciles: after a crash or a lost answer the provider is asked, and a batch is made once. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { freshKey, type Gateway, priced, Stage, until } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'

const stage = new Stage()
let sandbox: Sandbox
let freshStore: () => string

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

interface Told {
  readonly status: number
  readonly how: string | null
  readonly json: Readonly<Record<string, unknown>>
}

async function create(gateway: Gateway, key: string, more: object = {}, path = '/v1/batches'): Promise<Told> {
  const answer = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { authorization: 'Bearer sk-test', 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ input_file_id: 'file-1', endpoint: '/v1/responses', completion_window: '24h', ...more }),
  })
  const json = (await answer.json()) as Told['json']
  return { status: answer.status, how: answer.headers.get('idempotency-status'), json }
}

/** The same, until it is told something else than to come back. */
async function persist(gateway: Gateway, key: string, more?: object): Promise<Told> {
  for (let tries = 0; tries < 8; tries++) {
    const told = await create(gateway, key, more)
    if (told.json['code'] !== 'in_progress') return told
  }
  throw new Error('it never came to an end')
}

const created = (): number =>
  sandbox.calls.filter(({ method, path }) => method === 'POST' && path === '/v1/batches').length
const listed = (): number => sandbox.calls.filter(({ method }) => method === 'GET').length

async function gatewayOn(store: string, policy = 'reconcile'): Promise<Gateway> {
  const config = priced(stage, `routes: [{ path: /v1/batches, onAbandoned: ${policy} }]\n`)
  const flags = ['--config', config, '--lease', '1s', '--skew', '200ms', '--wait', '15s']
  return stage.gateway({ upstream: sandbox.url, store, flags })
}

describe.each(sharedStores)('over %s', (_, openStore) => {
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  test('a gateway that dies after the batch was made: the next one finds it, and everybody gets it', async () => {
    const store = freshStore()
    const gateway = await gatewayOn(store)
    const key = freshKey()
    sandbox.plan(['delay=60000'])
    const died = create(gateway, key, { metadata: { mine: 'x' } }).catch(() => undefined)
    await until(() => created() === 1, 'the batch is made')
    await gateway.end('SIGKILL')
    await died
    const [one, two] = [await gatewayOn(store), await gatewayOn(store)]
    const told = await Promise.all([one, two, one].map((at) => persist(at, key, { metadata: { mine: 'x' } })))
    const ids = new Set(told.map(({ json }) => json['id']))
    expect(told.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(ids.size).toBe(1)
    expect([...ids][0]).toMatch(/^batch_/)
    expect(told[0]?.json['metadata']).toEqual({ mine: 'x', oncekey: expect.stringMatching(/^[\w-]{43}\.\d{13}$/) })
    expect(created()).toBe(1)
    expect(await create(two, key, { metadata: { mine: 'x' } })).toMatchObject({ status: 200, how: 'replayed' })
  })

  test('the control: a route that executes again makes a second one', async () => {
    const store = freshStore()
    const gateway = await gatewayOn(store, 'reexecute')
    const key = freshKey()
    sandbox.plan(['delay=60000'])
    const died = create(gateway, key).catch(() => undefined)
    await until(() => created() === 1, 'the batch is made')
    await gateway.end('SIGKILL')
    await died
    expect(await persist(await gatewayOn(store, 'reexecute'), key)).toMatchObject({ status: 200, how: 'executed' })
    expect(created()).toBe(2)
  })

  test('an answer that is lost on its way: the retry finds the batch', async () => {
    const gateway = await gatewayOn(freshStore())
    const key = freshKey()
    sandbox.plan(['cut-before-head'])
    expect(await create(gateway, key)).toMatchObject({ status: 502, how: 'refused' })
    const told = await persist(gateway, key)
    expect(told).toMatchObject({ status: 200, how: 'replayed', json: { id: expect.stringMatching(/^batch_/) } })
    expect(created()).toBe(1)
  })

  test('a batch that is not there after two looks is made', async () => {
    const gateway = await gatewayOn(freshStore())
    const key = freshKey()
    sandbox.plan(['cut-before-head'])
    await create(gateway, key)
    sandbox.kept.reset()
    expect(await persist(gateway, key)).toMatchObject({ status: 200, how: 'executed' })
    expect(created()).toBe(2)
    expect(listed()).toBe(2)
  })

  test('a provider that does not list leaves it open, and nothing is made until it does', async () => {
    const gateway = await gatewayOn(freshStore())
    const key = freshKey()
    sandbox.plan(['cut-before-head', 'status=500'])
    await create(gateway, key)
    const unclear = await create(gateway, key)
    expect(unclear).toMatchObject({
      status: 409,
      json: { code: 'in_progress', detail: expect.stringContaining('answered 500') },
    })
    expect(await persist(gateway, key)).toMatchObject({ status: 200, how: 'replayed' })
    expect(created()).toBe(1)
  })

  test('one that nothing tells from others is unknown, and is not made again', async () => {
    const gateway = await gatewayOn(freshStore())
    const key = freshKey()
    const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`k${at}`, 'v']))
    sandbox.plan(['cut-before-head'])
    await create(gateway, key, { metadata })
    const told = await persist(gateway, key, { metadata })
    expect(told).toMatchObject({
      status: 409,
      json: { code: 'outcome_unknown', detail: expect.stringContaining('no room') },
    })
    expect(await persist(gateway, key, { metadata })).toMatchObject({ status: 409, json: { code: 'outcome_unknown' } })
    expect(created()).toBe(1)
  })
})

test('a route whose objects nobody can find is refused at the start, and so is the policy for all routes', async () => {
  for (const [text, sentence] of [
    ['routes: [{ path: /v1/files, onAbandoned: reconcile }]', 'nobody knows how to find what /v1/files makes'],
    ['onAbandoned: reconcile', 'must be one of reexecute, unknown'],
  ] as const) {
    const gateway = stage.spawnGateway({ upstream: sandbox.url, flags: ['--config', priced(stage, `${text}\n`)] })
    expect(await gateway.exited).toMatchObject({ code: 2 })
    expect(gateway.stderr).toContain(sentence)
  }
})
