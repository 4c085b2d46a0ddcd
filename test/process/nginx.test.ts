/** A load balancer that repeats requests: nginx as docs/guide/deploying.md has it, before two gateways of one store. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import type { Server } from '../../scripts/services.mjs'
import { called, freshKey, type Gateway, paid, Stage, until } from '../e2e/harness.ts'
import type { Relay } from '../e2e/relay.ts'
import { openai6 } from '../e2e/sdk.ts'
import { type Edit, startBalancer } from './nginx.ts'
import { type Heard, open, send } from './wire.ts'

/** The official SDKs wait 0.4 to 0.5 s before their first retry. */
const backOffMs = 500

let stage: Stage
let sandbox: Sandbox
let a: Gateway
let b: Gateway
/** The way from nginx to the first gateway. */
let way: Relay
let nginx: Server

/** Both gateways, and nginx before them. */
async function stand(flags: readonly string[] = [], edits: readonly Edit[] = []): Promise<void> {
  const options = { upstream: sandbox.url, store: stage.store(), flags: ['--stop-grace', '10s', ...flags] }
  ;[a, b] = await Promise.all([stage.gateway(options), stage.gateway(options)])
  way = await stage.relay(a)
  nginx = await startBalancer(stage, [way, b], edits)
}

beforeEach(async () => {
  stage = new Stage()
  sandbox = await stage.sandbox()
})
afterEach(() => stage.close())

/** Nobody listens where the first gateway was. */
async function down(): Promise<void> {
  way.close()
  await a.end('SIGKILL')
}

/** nginx has given the first gateway up. */
const gaveUp = (): Promise<void> =>
  until(() => /upstream (?:timed out|prematurely closed)|reset by peer/.test(nginx.log), 'nginx gives up')

const everything: Edit = ['proxy_next_upstream error timeout;', 'proxy_next_upstream error timeout non_idempotent;']

function expectOneCall(heard: Heard, how: RegExp): void {
  expect([heard.status, heard.whole]).toEqual([200, true])
  expect(heard.how).toMatch(how)
  expect(heard.text).toContain('Answer 1 (')
  expect(paid(sandbox)).toBe(1)
}

describe.each([false, true])('with a key, streamed: %s', (stream) => {
  const ask = () => ({ key: freshKey(), stream })

  test('a first gateway that is down costs nothing', async () => {
    await stand()
    await down()
    expectOneCall(await send(nginx, ask()), /^executed$/)
  })

  test('a first gateway that is frozen past the read timeout is repeated at the second: one paid call', async () => {
    await stand()
    sandbox.plan(['delay=3000'])
    const asking = open(nginx, ask())
    await called(sandbox, 1)
    a.child.kill('SIGSTOP')
    await gaveUp()
    a.child.kill('SIGCONT')
    expectOneCall(await asking.heard, /^(?:joined|replayed)$/)
    expect(sandbox.calls).toHaveLength(1)
  })

  test('a connection that breaks before the answer is repeated at the second: one paid call', async () => {
    await stand()
    sandbox.plan(['delay=1000'])
    const asking = open(nginx, ask())
    await called(sandbox, 1)
    way.cutAll()
    expectOneCall(await asking.heard, /^(?:joined|replayed)$/)
    expect(sandbox.calls).toHaveLength(1)
  })

  test('a connection that breaks in the middle of the answer cuts the client, whose retry gets it whole: one paid call', async () => {
    await stand()
    way.plan(1_000)
    const asked = { ...ask(), behave: 'size=6000' }
    const cut = await send(nginx, asked)
    expect([cut.status, cut.whole]).toEqual([200, false])
    expectOneCall(await send(nginx, asked), /^(?:joined|replayed)$/)
    expect(sandbox.calls).toHaveLength(1)
  })

  test('a first gateway that stops answers 503, and the second executes: one paid call', async () => {
    await stand()
    sandbox.plan(['delay=2500'])
    const running = open(a, { key: freshKey() })
    await called(sandbox, 1)
    a.child.kill('SIGTERM')
    await until(() => a.stderr.includes('stopping: running requests go on'), 'the first gateway stops')
    const heard = await send(nginx, ask())
    expect([heard.status, heard.how, way.requests.length]).toEqual([200, 'executed', 1])
    expect(way.requests[0]?.answer).toMatch(/^HTTP\/1.1 503 /)
    expect((await running.heard).how).toBe('executed')
    expect(paid(sandbox)).toBe(2)
  })

  test('a 502 of the provider is tried once more at the second: one paid call', async () => {
    await stand()
    sandbox.plan(['status=502'])
    const heard = await send(nginx, ask())
    expect([heard.status, heard.how]).toEqual([200, 'executed'])
    expect([sandbox.calls.length, paid(sandbox)]).toEqual([2, 1])
  })

  test.each([
    ['unknown', 409, 1],
    ['reexecute', 200, 2],
  ] as const)(
    'a first gateway that dies while the provider works, under %s: %i, %i calls',
    async (policy, status, calls) => {
      await stand(['--on-abandoned', policy, '--lease', '700ms', '--skew', '100ms'])
      sandbox.plan(['delay=60000'])
      const asking = open(nginx, ask())
      await called(sandbox, 1)
      await a.end('SIGKILL')
      const heard = await asking.heard
      expect(heard.status).toBe(status)
      if (status === 409) expect(heard.code).toBe('outcome_unknown')
      expect(sandbox.calls).toHaveLength(calls)
    },
  )
})

describe.each([false, true])('without a key, streamed: %s', (stream) => {
  test('a first gateway that is down costs nothing', async () => {
    await stand()
    await down()
    expectOneCall(await send(nginx, { stream }), /^executed$/)
  })

  /** As a client that counts retries: after its back-off, in which the gateway hears that the first connection has gone. */
  async function retry(): Promise<Heard> {
    await sleep(backOffMs)
    return send(nginx, { stream, headers: { 'X-Stainless-Retry-Count': '1' } })
  }

  /** What nginx has sent to the first gateway is lost on the way back. */
  async function lost(more: { readonly prompt?: string } = {}): Promise<Heard> {
    sandbox.plan(['delay=1000'])
    const asking = open(nginx, { stream, ...more, headers: { 'X-Stainless-Retry-Count': '0' } })
    await called(sandbox, 1)
    way.cutAll()
    return asking.heard
  }

  test('what was sent is not repeated: 502, and the retry of a client that counts gets the lost answer', async () => {
    await stand()
    expect((await lost()).status).toBe(502)
    expect(sandbox.calls).toHaveLength(1)
    expectOneCall(await retry(), /^inferred$/)
  })

  test('silence past the read timeout is a 504, and the retry of a client that counts gets the lost answer', async () => {
    await stand()
    sandbox.plan(['delay=3000'])
    const first = await send(nginx, { stream, headers: { 'X-Stainless-Retry-Count': '0' } })
    expect(first.status).toBe(504)
    expectOneCall(await retry(), /^inferred$/)
    expect(sandbox.calls).toHaveLength(1)
  })

  test('the official SDK notices nothing of it: its own retry is one paid call', async () => {
    await stand()
    sandbox.plan(['delay=1500'])
    const asking = openai6.ask({ kind: stream ? 'stream' : 'plain', baseURL: nginx.url, prompt: 'hello' })
    await called(sandbox, 1)
    way.cutAll()
    const told = await asking
    expect([told.error, told.how]).toEqual([undefined, 'inferred'])
    expect(told.text).toMatch(/^Answer 1 /)
    expect(sandbox.calls).toHaveLength(1)
  })

  test('with non_idempotent for everything the repeat has the same count and executes again: two paid calls', async () => {
    await stand([], [everything])
    const heard = await lost()
    expect([heard.status, heard.how]).toEqual([200, 'executed'])
    expect(heard.text).toContain('Answer 2 (')
    expect(way.requests).toHaveLength(1)
    expect(sandbox.calls).toHaveLength(2)
    await until(() => paid(sandbox) === 2, 'both are paid')
  })

  test('under content on that route the same repeat is one call', async () => {
    await stand(['--keyless', 'content'], [everything])
    expectOneCall(await lost(), /^inferred$/)
    expect(sandbox.calls).toHaveLength(1)
  })
})

describe('what the configuration is for', () => {
  test('events go out as they come', async () => {
    await stand()
    const asking = open(nginx, { key: freshKey(), stream: true, behave: 'events=6, gap=300' })
    await asking.has('word 2')
    expect(sandbox.calls[0]?.endedAt).toBeUndefined()
    expect((await asking.heard).whole).toBe(true)
  })

  test.each([
    ['the gateway hears that an answer was not taken, and the retry gets it', [], 'inferred', 1],
    [
      'the control: with proxy_buffering on, the default, nginx takes it for its client, and the retry pays again',
      [['proxy_buffering off;', 'proxy_buffering on;']],
      'executed',
      2,
    ],
  ] as const)('without a key %s', async (_, edits, how, calls) => {
    await stand()
    // Without the relay, which takes everything itself.
    nginx = await startBalancer(stage, [a, b], edits)
    // More than all buffers on the way hold.
    const ask = (count: number) => ({ behave: 'size=30000000', headers: { 'X-Stainless-Retry-Count': String(count) } })
    const asking = open(nginx, ask(0))
    asking.pause()
    await until(() => sandbox.calls[0]?.endedAt !== undefined, 'the provider has said all of it')
    // Longer than nginx takes to take it all, where it does.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    asking.hangUp()
    await new Promise((resolve) => setTimeout(resolve, 500))
    const heard = await send(nginx, ask(1))
    expect([heard.status, heard.whole, heard.how]).toEqual([200, true, how])
    expect(sandbox.calls).toHaveLength(calls)
  })

  test('a body of two megabytes passes; without client_max_body_size it is a 413 of nginx', async () => {
    const ask = { key: freshKey(), prompt: 'x'.repeat(2_000_000) }
    await stand()
    expect((await send(nginx, ask)).status).toBe(200)
    await stand([], [['client_max_body_size 64m;', '']])
    expect((await send(nginx, ask)).status).toBe(413)
  })

  test('connections to the gateways are kept', async () => {
    await stand()
    for (let count = 0; count < 6; count++) expect((await send(nginx, { key: freshKey() })).status).toBe(200)
    expect(way.connections).toBe(1)
  })
})
