/** How an operator names a record that he has no id of, whoever made it; and what a command loads for that. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createIdempotency, IdempotencyError } from '../../oncekey/src/index.ts'
import { lmdbStore } from '../../oncekey/src/stores/lmdb/index.ts'
import { freshKey, type ScriptedUpstream, send, startGateway, startUpstream } from './harness.ts'
import { oncekey, type Ran } from './stores.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-named-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function show(path: string, ...args: string[]): Promise<Ran> {
  return oncekey(['records', 'show', '--store', `lmdb:${path}`, '--json', ...args])
}

describe('a record of the library', () => {
  const path = join(folder, 'library')
  const operation = { key: 'order-1', scope: 'invoices', tenant: 'acme' }

  test('is found by its key, scope and tenant, and resolved with a value that replays', async () => {
    const store = lmdbStore(path)
    const once = createIdempotency({ store, onAbandoned: 'unknown' })
    const lost = new IdempotencyError('outcome_unknown', 'Nobody knows.')
    await expect(once.run(operation, () => Promise.reject(lost))).rejects.toBe(lost)

    const named = ['--key', 'order-1', '--scope', 'invoices', '--tenant', 'acme']
    expect((await show(path, ...named)).json[0]).toMatchObject({ state: 'unknown' })
    for (const other of [
      ['--key', 'order-2', '--scope', 'invoices', '--tenant', 'acme'],
      ['--key', 'order-1'],
    ])
      expect((await show(path, ...other)).code).toBe(1)

    const outcome = join(folder, 'value.json')
    writeFileSync(outcome, JSON.stringify({ value: { invoice: 7 } }))
    const args = ['records', 'resolve', '--store', `lmdb:${path}`, ...named, '--outcome', outcome, '--yes']
    expect((await oncekey(args)).code).toBe(0)
    expect(await once.run(operation, () => 'a second time')).toEqual({ invoice: 7 })
    await once.close()
    await store.close()
  })
})

describe('a record of a gateway', () => {
  let upstream: ScriptedUpstream
  beforeAll(async () => {
    upstream = await startUpstream()
  })
  afterAll(() => upstream.close())

  test('whose tenant a header names is found by that name, with the pepper of the gateway', async () => {
    const path = join(folder, 'header')
    const pepper = join(folder, 'pepper')
    writeFileSync(pepper, randomBytes(32).toString('base64'))
    const flags = ['--store', `lmdb:${path}`, '--tenant-header', 'X-Team', '--pepper-file', pepper]
    const gateway = await startGateway(upstream, flags)
    const key = freshKey()
    await send(gateway, { key, headers: ['X-Team', 'red'] })
    const named = ['--key', key, '--scope', 'POST /v1/things', '--tenant', 'red']
    expect((await show(path, ...named, '--pepper-file', pepper)).json[0]).toMatchObject({ state: 'completed' })
    const without = await show(path, ...named)
    expect([without.code, without.stderr]).toEqual([1, expect.stringMatching(/another pepper/)])
    await gateway.kill()
  })

  test('without a credential is found by its key and scope alone', async () => {
    const path = join(folder, 'anonymous')
    const gateway = await startGateway(upstream, ['--store', `lmdb:${path}`, '--dangerously-allow-anonymous'])
    const key = freshKey()
    await send(gateway, { key, as: null })
    expect((await show(path, '--key', key, '--scope', 'POST /v1/things')).json[0]).toMatchObject({ state: 'completed' })
    await gateway.kill()
  })
})

test('a driver is loaded for its own store only', async () => {
  const hook = 'export const load = (url, context, next) => (process._rawDebug(url), next(url, context))'
  const begin = `import{register}from'node:module';register('data:text/javascript,${encodeURIComponent(hook)}')`
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(begin)}` }
  const drivers = async (store: string): Promise<string[]> => {
    const { stderr } = await oncekey(['records', 'list', '--store', store], env)
    return ['ioredis', 'lmdb', 'pg'].filter((name) => stderr.includes(`/node_modules/${name}/`))
  }
  const path = join(folder, 'library')
  expect(await drivers(`lmdb:${path}`)).toEqual(['lmdb'])
  expect(await drivers('redis://127.0.0.1:1')).toEqual(['ioredis'])
  expect(await drivers('postgres://127.0.0.1:1/none')).toEqual(['pg'])
})
