/** `idempotentFetch` in the constructors of the official SDKs, through the gateway and a network that breaks: one paid call each. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import type { FetchedAsk, User } from './fetched.ts'
import { paid, Stage } from './harness.ts'
import { onNode22 } from './node22.ts'
import { fieldOf, type Relay } from './relay.ts'
import type { Told } from './sdk.ts'

/** All that fetched.ts knows, with who repeats a call that timed out. */
const users: Readonly<Record<User, { readonly declares: boolean }>> = {
  openai: { declares: true },
  anthropic: { declares: true },
  'ai openai': { declares: false },
  'ai anthropic': { declares: false },
  'langchain openai': { declares: false },
  'langchain anthropic': { declares: false },
}

const stage = new Stage()
let sandbox: Sandbox
let relay: Relay
let perform: (ask: FetchedAsk) => Promise<Told>
let prompts = 0
beforeAll(async () => {
  sandbox = await stage.sandbox()
  // No help from the gateway: what is known again here is known by its key.
  const gateway = await stage.gateway({ upstream: sandbox.url, store: 'memory:', flags: ['--keyless', 'off'] })
  relay = await stage.relay(gateway)
  const asking = await onNode22(stage, 'fetched.mjs')
  perform = asking as unknown as typeof perform
})
beforeEach(() => {
  sandbox.reset()
  relay.reset()
})
afterAll(() => stage.close())

function ask(user: User, more: Partial<FetchedAsk> = {}): Promise<Told> {
  prompts += 1
  return perform({ user, isStream: false, baseURL: relay.url, prompt: `wish ${prompts}`, retries: 'ours', ...more })
}

/** The provider's text, nothing of it missing or twice. */
const text = (call: number, pieces = 5): RegExp =>
  new RegExp(
    `^Answer ${call} \\([0-9a-f]{24}\\):${Array.from({ length: pieces - 1 }, (_, at) => ` word ${at + 1}`).join('')}$`,
  )

const keys = (): Set<string | undefined> =>
  new Set(relay.requests.map((request) => fieldOf(request, 'idempotency-key')))

for (const user of Object.keys(users) as User[]) {
  describe(user, () => {
    test('an answer that is lost twice arrives, under one key and paid once', async () => {
      relay.plan('lose', 'lose')
      expect(await ask(user)).toMatchObject({ text: expect.stringMatching(text(1)) })
      expect(relay.requests).toHaveLength(3)
      expect([...keys()]).toEqual([expect.stringMatching(/^"[0-9a-f-]{36}"$/)])
      expect([paid(sandbox), sandbox.calls.length]).toEqual([1, 1])
    })
    test('a stream that is cut twice, once while it runs, goes on to its end with each piece once, paid once', async () => {
      sandbox.plan(['events=30,gap=10'])
      relay.plan(2000, 3500)
      expect(await ask(user, { isStream: true })).toMatchObject({ text: expect.stringMatching(text(1, 30)) })
      expect(relay.broken).toBe(2)
      expect(keys().size).toBe(1)
      expect([paid(sandbox), sandbox.calls.length]).toEqual([1, 1])
    })
    test('a provider that is busy is asked again when it says', async () => {
      sandbox.plan(['status=429,retry-after-ms=400', 'status=503,retry-after-ms=400'])
      expect(await ask(user)).toMatchObject({ text: expect.stringMatching(text(3)) })
      expect(keys().size).toBe(1)
      expect(paid(sandbox)).toBe(1)
    })
    test('the SDK’s own retries keep the key, and are one paid call', async () => {
      relay.plan('lose')
      expect(await ask(user, { retries: 'theirs' })).toMatchObject({ text: expect.stringMatching(text(1)) })
      expect([relay.requests.length, keys().size]).toEqual([2, 1])
      expect(paid(sandbox)).toBe(1)
    })
    if (users[user].declares)
      test('a time-out of the SDK’s and its declared retry are one paid call', async () => {
        sandbox.plan(['delay=800'])
        const told = await ask(user, { timeoutMs: 400, retries: 'theirs' })
        expect(told).toMatchObject({ text: expect.stringMatching(text(1)) })
        expect(keys().size).toBe(1)
        expect([paid(sandbox), sandbox.calls.length]).toEqual([1, 1])
      })
  })
}

test('without it the same loss is paid twice', async () => {
  relay.plan('lose')
  const told = await ask('openai', { retries: 'theirs on a plain fetch' })
  expect(told).toMatchObject({ text: expect.stringMatching(text(2)) })
  expect(paid(sandbox)).toBe(2)
})
