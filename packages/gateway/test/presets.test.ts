/** A gateway is killed in the middle of a call: what its retry finds is by the kind of work, unless it was told otherwise. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../src/sandbox/index.ts'
import { type Answer, freshKey, open, send, startGateway, until } from './harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-presets-'))
let stores = 0
let provider: Sandbox
beforeAll(async () => {
  provider = await startSandbox()
})
beforeEach(() => provider.reset())
afterAll(async () => {
  await provider.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Kills a gateway while the provider works on a request, and sends the request again to the next gateway. */
async function afterKill(flags: readonly string[], path: string, body: object, inside = false): Promise<Answer> {
  const args = [...flags, '--store', `lmdb:${join(folder, `store${stores++}`)}`, '--lease', '500ms', '--skew', '100ms']
  const key = freshKey()
  const request = { path, key, body: JSON.stringify(body), headers: ['Content-Type', 'application/json'] }
  const first = await startGateway(undefined, args)
  open(first, { ...request, headers: [...request.headers, 'X-Sandbox', 'delay=30000'] })
  await begun(first, inside)
  await first.kill()
  const second = await startGateway(undefined, args)
  const answer = await send(second, request)
  await second.kill()
  return answer
}

/** Waits until a provider works on a call: the one here, or the one inside the gateway, which is asked through it. */
async function begun(gateway: { readonly port: number }, inside: boolean): Promise<void> {
  if (!inside) return until(() => provider.calls.length === 1)
  for (let tries = 0; tries < 500; tries++) {
    const { json } = await send(gateway, { method: 'GET', path: '/__sandbox/calls' })
    if ((json['calls'] as unknown[]).length === 1) return
  }
  throw new Error('the call never reached the provider')
}

/** A configuration file with these lines. */
function file(text: string): string[] {
  const path = join(folder, `${stores++}.yaml`)
  writeFileSync(path, text)
  return ['--config', path]
}

const killedInside = (flags: readonly string[], path: string, body: object): Promise<Answer> =>
  afterKill(flags, path, body, true)

const batch = { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h' }
const chat = { model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Hello' }] }
const response = { model: 'gpt-5-mini', input: 'Hello' }

const refused = [409, 'outcome_unknown', 'refused']
const executed = [200, undefined, 'executed']
const told = ({ status, json, how }: Answer): unknown[] => [status, json['code'], how]

describe.concurrent('behind --upstream sandbox: and nothing else, a retry after the kill', () => {
  const flags = ['--upstream', 'sandbox:']
  test('of a batch is refused', async () => {
    expect(told(await killedInside(flags, '/v1/batches', batch))).toEqual(refused)
  })
  test('of a batch of messages is refused', async () => {
    expect(told(await killedInside(flags, '/v1/messages/batches', { requests: [] }))).toEqual(refused)
  })
  test('of a response in the background is refused', async () => {
    expect(told(await killedInside(flags, '/v1/responses', { ...response, background: true }))).toEqual(refused)
  })
  test('of a response is executed', async () => {
    expect(told(await killedInside(flags, '/v1/responses', { ...response, background: false }))).toEqual(executed)
  })
  test('of a chat completion is executed', async () => {
    expect(told(await killedInside(flags, '/v1/chat/completions', chat))).toEqual(executed)
  })
  test('of a chat completion is refused under --on-abandoned unknown, which no preset takes back', async () => {
    const careful = [...flags, '--on-abandoned', 'unknown']
    expect(told(await killedInside(careful, '/v1/chat/completions', chat))).toEqual(refused)
  })
  test('of a batch is executed with preset: none, the control', async () => {
    const none = file("upstream: [{ url: 'sandbox:', preset: none }]\n")
    expect(told(await killedInside(none, '/v1/batches', batch))).toEqual(executed)
  })
  test('of a batch is executed where a route of the file says so', async () => {
    const own = file("upstream: 'sandbox:'\nroutes: [{ path: /v1/batches, onAbandoned: reexecute }]\n")
    expect(told(await killedInside(own, '/v1/batches', batch))).toEqual(executed)
  })
  test('of a batch is refused where a route of the file says something else about it', async () => {
    const own = file("upstream: 'sandbox:'\nroutes: [{ path: '/v1/*', wait: 1m }]\n")
    expect(told(await killedInside(own, '/v1/batches', batch))).toEqual(refused)
  })
})

describe('before an API of an unknown host the provider is paid', () => {
  test('once for a batch whose gateway was killed in the middle of it', async () => {
    expect(told(await afterKill(['--upstream', provider.url], '/v1/batches', batch))).toEqual(refused)
    expect(provider.calls).toHaveLength(1)
  })
  test('once for a batch behind the path of an upstream’s URL, which rules of presets see', async () => {
    expect(told(await afterKill(['--upstream', `${provider.url}/api/v1/`], '/batches', batch))).toEqual(refused)
    expect(provider.calls).toHaveLength(1)
  })
  test('twice for a batch with preset: none, the control', async () => {
    const none = file(`upstream: [{ url: '${provider.url}', preset: none }]\n`)
    expect(told(await afterKill(none, '/v1/batches', batch))).toEqual(executed)
    expect(provider.calls).toHaveLength(2)
  })
  test('twice for a chat completion', async () => {
    expect(told(await afterKill(['--upstream', provider.url], '/v1/chat/completions', chat))).toEqual(executed)
    expect(provider.calls).toHaveLength(2)
  })
})
