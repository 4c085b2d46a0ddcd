/** `idempotentFetch` and a gateway that dies, or is still busy: nobody is given half of one answer and half of another. */
import { idempotentFetch } from 'oncekey/client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { answering, called, type Gateway, paid, Stage } from './harness.ts'

const stage = new Stage()
let sandbox: Sandbox
let prompts = 0
beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

/** The gateway's hints are seconds: what is to be waited is a tenth. */
const clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs: number, fire: () => void) => {
    const timer = setTimeout(fire, delayMs / 10)
    return { cancel: () => clearTimeout(timer) }
  },
}

/** The name of the service is the same whichever gateway stands behind it. */
function askThrough(current: () => Gateway) {
  const ask = idempotentFetch({
    clock,
    fetch: (path, init) => fetch(`${current().url}${String(path)}`, init),
  })
  prompts += 1
  const content = `wish ${prompts}`
  return (isStream: boolean): Promise<Response> =>
    ask('/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-test' },
      body: JSON.stringify({ model: 'pretend-1', stream: isStream, messages: [{ role: 'user', content }] }),
    })
}

const flags = ['--lease', '1s', '--skew', '200ms']

/** A stream of which the gateway is killed; another one on the same store takes its place. */
async function killed(policy: string) {
  const store = stage.store()
  const options = { upstream: sandbox.url, store, flags: [...flags, '--on-abandoned', policy] }
  let gateway = await stage.gateway(options)
  const ask = askThrough(() => gateway)
  sandbox.plan(['events=600,gap=20'])
  const answer = await ask(true)
  const reader = answer.body?.getReader()
  const had = new TextDecoder().decode((await reader?.read())?.value)
  await answering(sandbox)
  const ending = reader?.read().then(async function next(piece): Promise<unknown> {
    return piece.done ? 'its end' : reader.read().then(next)
  })
  const failure = ending?.catch((error: Error) => error)
  const successor = await stage.gateway(options)
  gateway.child.kill('SIGKILL')
  gateway = successor
  return { had, failure: (await failure) as Error, ask }
}

describe('a gateway that is killed in the middle of a stream', () => {
  test('under unknown ends it in an error, and the call is not made again', async () => {
    const { had, failure, ask } = await killed('unknown')
    expect(had).toContain('data: ')
    expect(failure.message).toMatch(/cut after \d+ bytes and cannot go on: its retry was answered 409 \(refused\)/)
    expect(failure.cause).toBeInstanceOf(Error)
    expect((await ask(true)).status).toBe(409)
    expect(sandbox.calls).toHaveLength(1)
  })
  test('under reexecute ends it in an error, and the same call gets what was executed instead', async () => {
    const { failure, ask } = await killed('reexecute')
    expect(failure.message).toMatch(/cannot go on: its retry was answered 200 \(executed\)/)
    const again = await ask(true)
    expect(again.headers.get('idempotency-status')).toMatch(/joined|replayed/)
    expect(await again.text()).toMatch(/"Answer 2 .*\[DONE\]\n\n$/s)
    expect(paid(sandbox)).toBeLessThanOrEqual(2)
    expect(sandbox.calls).toHaveLength(2)
  })
})

test('a call that still runs is asked for again when the gateway says, until it is over', async () => {
  const gateway = await stage.gateway({ upstream: sandbox.url, store: 'memory:', flags: ['--wait', '100ms'] })
  const relay = await stage.relay(gateway)
  const ask = askThrough(() => Object.assign(Object.create(gateway), { url: relay.url }) as Gateway)
  sandbox.plan(['delay=1500'])
  const asking = ask(false)
  await called(sandbox, 1)
  relay.cutAll()
  const answer = await asking
  expect([answer.status, answer.headers.get('idempotency-status')]).toEqual([200, 'replayed'])
  expect(relay.requests.some(({ answer: head }) => head.includes(' 409 '))).toBe(true)
  expect(paid(sandbox)).toBe(1)
})
