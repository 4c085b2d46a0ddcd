/** SIGHUP to `--workers`: one worker after another is replaced, and no caller notices. */
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { freshKey, type Gateway, paid, Stage, until } from '../e2e/harness.ts'
import { open, send } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
let gateway: Gateway
let file: string

beforeAll(async () => {
  sandbox = await stage.sandbox()
  file = join(stage.folder(), 'oncekey.yaml')
  writeFileSync(file, 'workers: 2\n')
  gateway = await stage.gateway({ upstream: sandbox.url, flags: ['--config', file] })
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

function workers(): number[] {
  const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8')
  return children.trim().split(' ').filter(Boolean).map(Number)
}

const reloaded = (count: number): Promise<void> =>
  until(() => gateway.logged('reloaded') === count, 'it has reloaded', 20_000)
let reloads = 0
async function reload(): Promise<void> {
  gateway.child.kill('SIGHUP')
  reloads += 1
  await reloaded(reloads)
}

/** Callers that ask one thing after another, on new connections and on kept ones, until they are stopped. */
function callers(): { readonly answers: readonly (number | string)[]; stop(): Promise<void> } {
  const answers: (number | string)[] = []
  const kept = [1, 2].map(() => new Agent({ keepAlive: true, maxSockets: 1 }))
  let over = false
  const insist = async (agent: Agent | false): Promise<void> => {
    while (!over) answers.push(await ask(agent))
  }
  const asking = [...kept, false as const, false as const].map(insist)
  const stop = async (): Promise<void> => {
    over = true
    await Promise.all(asking)
    for (const agent of kept) agent.destroy()
  }
  return { answers, stop }
}

/** One question that takes a moment; the status, or why there was none. */
function ask(agent: Agent | false): Promise<number | string> {
  const body = JSON.stringify({ model: 'pretend-1', messages: [{ role: 'user', content: 'hello' }] })
  const headers = {
    Authorization: 'Bearer a',
    'Content-Type': 'application/json',
    'Idempotency-Key': freshKey(),
    'X-Sandbox': 'delay=20',
    'Content-Length': body.length,
  }
  const options = {
    port: gateway.port,
    host: '127.0.0.1',
    agent,
    method: 'POST',
    path: '/v1/chat/completions',
    headers,
  }
  return new Promise((resolve) => {
    const request = httpRequest(options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
      response.on('error', (error) => resolve(error.message))
    })
    request.on('error', (error) => resolve(error.message))
    // Node leaves a connection open that was on its way to a worker when that died.
    request.setTimeout(3_000, () => request.destroy(new Error('no answer')))
    request.end(body)
  })
}

test('new workers take over while requests come on new and on kept connections, and none is refused or cut', async () => {
  const old = workers()
  const stream = open(gateway, { key: freshKey(), stream: true, behave: 'events=80, gap=50' })
  await stream.has('word 2')
  const { answers, stop } = callers()
  await reload()
  const next = workers().filter((pid) => !old.includes(pid))
  expect(next).toHaveLength(2)
  const heard = await stream.heard
  expect([heard.whole, heard.text.includes('[DONE]')]).toEqual([true, true])
  await until(() => workers().length === 2, 'the old ones have ended', 20_000)
  await stop()
  expect(new Set(answers)).toEqual(new Set([200]))
  expect(answers.length).toBeGreaterThan(100)
  expect(workers().sort()).toEqual(next.sort())
  expect(gateway.logged('a worker died; another one takes its place')).toBe(0)
}, 60_000)

test('the control: a worker that is killed is noticed by the same callers', async () => {
  const { answers, stop } = callers()
  await until(() => answers.length > 20, 'they ask')
  for (const pid of workers()) process.kill(pid, 'SIGKILL')
  await until(() => gateway.logged('a worker died; another one takes its place') === 2, 'both are replaced')
  await until(() => workers().length === 2, 'there are two again')
  await until(() => answers.at(-1) === 200, 'they are answered again')
  await stop()
  expect(answers.filter((answer) => answer !== 200)).not.toHaveLength(0)
}, 30_000)

test('what they recorded is replayed by the new ones, and settings of the file hold from then on', async () => {
  const key = freshKey()
  const first = await send(gateway, { key })
  writeFileSync(file, 'workers: 1\nrequireKey: true\n')
  await reload()
  await until(() => workers().length === 1, 'one is left', 20_000)
  expect([(await send(gateway, { key })).text, paid(sandbox)]).toEqual([first.text, 1])
  expect((await send(gateway, {})).code).toBe('key_missing')
})

test('a wrong file is named in the log, and everything goes on as it was', async () => {
  const before = workers()
  writeFileSync(file, 'workers: many\n')
  gateway.child.kill('SIGHUP')
  await until(
    () => gateway.logged('the configuration is wrong; the gateway goes on with the old one') === 1,
    'it says so',
  )
  expect(gateway.stderr).toContain('workers')
  expect(workers()).toEqual(before)
  expect((await send(gateway, { key: freshKey() })).how).toBe('executed')
})

test('a file that is right but cannot be started with keeps the old workers, until it is mended', async () => {
  const before = workers()
  // RFC 5737: no address of any machine.
  writeFileSync(file, 'workers: 2\nhost: 203.0.113.9\n')
  gateway.child.kill('SIGHUP')
  await until(() => gateway.logged('a new worker did not come up; the old ones go on') === 1, 'it says so')
  expect(gateway.stderr).toContain('Cannot listen on 203.0.113.9')
  expect(workers()).toEqual(before)
  expect((await send(gateway, { key: freshKey() })).how).toBe('executed')
  writeFileSync(file, 'workers: 2\n')
  await reload()
  await until(() => workers().length === 2 && !workers().includes(before[0] ?? 0), 'the old one has ended', 20_000)
  expect((await send(gateway, { key: freshKey() })).how).toBe('executed')
}, 30_000)

test('SIGTERM in the middle of a reload ends all of them, cleanly', async () => {
  gateway.child.kill('SIGHUP')
  await until(() => gateway.logged('reloading: new workers take over one by one') === reloads + 2, 'it reloads')
  expect(await gateway.end('SIGTERM')).toEqual({ code: 0, signal: null })
}, 20_000)
