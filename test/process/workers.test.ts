/** `--workers`: processes that share a port and nothing else but the store. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, freshKey, type Gateway, paid, Stage, until } from '../e2e/harness.ts'
import { differentBodies, type Heard, insist, open, send, storm } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
let gateway: Gateway

beforeAll(async () => {
  sandbox = await stage.sandbox()
  const flags = ['--workers', '2', '--lease', '1s', '--skew', '200ms']
  gateway = await stage.gateway({ upstream: sandbox.url, flags })
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

/** The processes behind the port. */
function workers(): number[] {
  const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8')
  return children.trim().split(' ').filter(Boolean).map(Number)
}

const replaced = 'a worker died; another one takes its place'

describe('two workers over one store', () => {
  test('are two processes, ready with one line', () => {
    expect(new Set(workers()).size).toBe(2)
    expect(gateway.stdout.trimEnd().split('\n')).toHaveLength(1)
  })

  test('duplicates over both are one call, and all get the same bytes', async () => {
    const heard = await storm([gateway], 50, { key: freshKey(), behave: 'delay=300' })
    expect(heard.map(({ status, whole }) => `${status} ${whole}`)).toEqual(heard.map(() => '200 true'))
    expect(differentBodies(heard)).toBe(1)
    expect(heard.filter(({ how }) => how === 'executed')).toHaveLength(1)
    expect(paid(sandbox)).toBe(1)
  })

  test('a stream that one of them runs is joined through the other', async () => {
    const ask = { key: freshKey(), stream: true, behave: 'events=30, gap=30' }
    const owner = open(gateway, ask)
    await owner.has('word 2')
    // Connections go to the workers in turn, so both are among these.
    const joined = await storm([gateway], 4, ask)
    const heard = [await owner.heard, ...joined]
    expect(heard.map(({ how, whole }) => `${how} ${whole}`)).toEqual([
      'executed true',
      ...joined.map(() => 'joined true'),
    ])
    expect(differentBodies(heard)).toBe(1)
    expect(paid(sandbox)).toBe(1)
  })

  test('one that is killed is replaced, and the port goes on serving and replaying', async () => {
    const before = workers()
    const key = freshKey()
    const first = await send(gateway, { key })
    const [victim = 0, survivor] = before
    process.kill(victim, 'SIGKILL')
    await until(() => gateway.logged(replaced) === 1, 'the primary has noticed')
    // While one is missing the other answers, and in the end there are two again.
    expect((await insist(gateway, { key })).text).toBe(first.text)
    await until(() => workers().length === 2, 'there are two workers again')
    expect(workers()).toContain(survivor)
    expect(workers()).not.toContain(victim)
    const heard: Heard[] = []
    for (let count = 0; count < 6; count++) heard.push(await insist(gateway, { key }))
    expect(heard.map(({ how }) => how)).toEqual(heard.map(() => 'replayed'))
    expect(differentBodies([first, ...heard])).toBe(1)
    expect(sandbox.calls).toHaveLength(1)
    expect((await send(gateway, { key: freshKey() })).how).toBe('executed')
  })

  test('both killed in the middle of a call: one takeover, one answer for all who come', async () => {
    const key = freshKey()
    sandbox.plan(['delay=20000'])
    const lost = open(gateway, { key })
    await called(sandbox, 1)
    const victims = workers()
    for (const victim of victims) process.kill(victim, 'SIGKILL')
    expect(await lost.heard).toMatchObject({ status: 0, whole: false })
    await until(() => workers().length === 2 && !workers().some((pid) => victims.includes(pid)), 'two new workers')
    const heard = await Promise.all(Array.from({ length: 10 }, () => insist(gateway, { key })))
    expect(heard.map(({ status }) => status)).toEqual(heard.map(() => 200))
    expect(differentBodies(heard)).toBe(1)
    expect(heard[0]?.text).toContain('Answer 2 (')
    expect(sandbox.calls).toHaveLength(2)
    expect(gateway.logged('took over an abandoned request')).toBe(1)
  })

  test('SIGTERM to the primary lets running calls finish in all of them, and is a clean end', async () => {
    const running = Array.from({ length: 4 }, () => open(gateway, { key: freshKey(), behave: 'delay=500' }))
    await called(sandbox, 4)
    const exit = gateway.end('SIGTERM')
    const heard = await Promise.all(running.map((call) => call.heard))
    expect(heard.map(({ status, whole }) => `${status} ${whole}`)).toEqual(heard.map(() => '200 true'))
    expect(await exit).toEqual({ code: 0, signal: null })
  })
})
