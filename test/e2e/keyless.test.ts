/** The official SDKs' own retries without a key, over two gateways of one store: each connection goes to the next of them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { sharedStores } from '../process/stores.ts'
import { called, type Gateway, paid, Stage, until } from './harness.ts'
import { fieldOf, type Relay } from './relay.ts'
import { type Ask, anthropic, openai7, type Sdk, type Told } from './sdk.ts'

const clients: readonly (readonly [string, (stage: Stage) => Promise<Sdk>, string])[] = [
  ['openai 7', openai7, 'Authorization'],
  ['@anthropic-ai/sdk', async () => anthropic, 'X-Api-Key'],
]

const stage = new Stage()
let sandbox: Sandbox
let gateways: readonly [Gateway, Gateway]
let sdk: Sdk
let relay: Relay
let prompt: string
let prompts = 0

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(async () => {
  sandbox.reset()
  relay = await stage.relay(...gateways)
  prompt = `wish ${prompts++}`
})
afterAll(() => stage.close())

function ask(more: Partial<Ask> = {}): Promise<Told> {
  return sdk.ask({ kind: 'plain', baseURL: relay.url, prompt, ...more })
}

/** Breaks every connection as soon as the provider has so many calls. */
async function breakAt(calls: number): Promise<void> {
  await called(sandbox, calls)
  relay.cutAll()
}

const counts = (): (string | undefined)[] => relay.requests.map((one) => fieldOf(one, 'x-stainless-retry-count'))
const targets = (): number[] => relay.requests.map(({ target }) => target)
/** Which call of the provider's a text comes from. */
const callOf = ({ text }: Told): number => Number(/^Answer (\d+) /.exec(text)?.[1])

/** What an attempt costs that is lost and tried again; answers what the user got. */
const faults: readonly (readonly [string, () => Promise<Told>])[] = [
  [
    'a timeout',
    () => {
      sandbox.plan(['delay=1100'])
      return ask({ timeoutMs: 500 })
    },
  ],
  ...(['plain', 'stream'] as const).map(
    (kind) =>
      [
        `a connection that breaks while the provider works (${kind})`,
        async () => {
          sandbox.plan(['delay=1500'])
          const [told] = await Promise.all([ask({ kind }), breakAt(1)])
          return told
        },
      ] as const,
  ),
  [
    'a provider that answers between the break and the retry',
    async () => {
      sandbox.plan(['delay=150'])
      const [told] = await Promise.all([ask(), breakAt(1)])
      return told
    },
  ],
]

const wishes = 6
/** So many equal wishes whose connections break, all at once. */
async function breakMany(): Promise<Told[]> {
  sandbox.plan(Array.from({ length: wishes }, (_, at) => `delay=${at % 2 === 0 ? 300 : 1_500}`))
  const [told] = await Promise.all([Promise.all(Array.from({ length: wishes }, () => ask())), breakAt(wishes)])
  return told
}

describe.each(clients)('%s', (_, openSdk, credential) => {
  beforeAll(async () => {
    sdk = await openSdk(stage)
  })

  async function standOn(store: string, ...flags: string[]): Promise<void> {
    const options = { upstream: sandbox.url, store, flags: ['--stop-grace', '1s', ...flags] }
    gateways = await Promise.all([stage.gateway(options), stage.gateway(options)])
  }

  describe.each(sharedStores)('over %s', (_, openStore) => {
    beforeAll(async () => standOn((await openStore(stage))()))

    test.each(faults)('%s is one paid call, though the retry reaches the other gateway', async (_, cost) => {
      const told = await cost()
      expect([told.error, told.how, told.replayed, callOf(told)]).toEqual([undefined, 'inferred', 'true', 1])
      expect(counts().slice(0, 2)).toEqual(['0', '1'])
      expect(targets().slice(0, 2)).toEqual([0, 1])
      expect([sandbox.calls.length, paid(sandbox)]).toEqual([1, 1])
    })

    test('a retry that comes while the first try streams gets the stream from its first event', async () => {
      sandbox.plan(['delay=200, events=20, gap=120'])
      const asking = Promise.all([ask({ kind: 'stream' }), breakAt(1)])
      await until(() => relay.requests.length === 2, 'the SDK tries again')
      expect(sandbox.calls[0]?.bytesSent).toBeGreaterThan(0)
      expect(sandbox.calls[0]?.endedAt).toBeUndefined()
      const [told] = await asking
      expect([told.how, callOf(told)]).toEqual(['inferred', 1])
      expect(told.text).toMatch(/^Answer 1 .* word 1 word 2 .* word 18 word 19$/)
    })

    test('equal wishes that all break get an answer each, none twice, and none is paid twice', async () => {
      const told = await breakMany()
      expect(told.map(({ how }) => how)).toEqual(told.map(() => 'inferred'))
      expect(told.map(callOf).sort()).toEqual([1, 2, 3, 4, 5, 6])
      expect([sandbox.calls.length, paid(sandbox)]).toEqual([wishes, wishes])
      expect(new Set(targets().slice(wishes))).toEqual(new Set([0, 1]))
    })

    test('a caller that is still there is not robbed by the retry of an equal wish', async () => {
      sandbox.plan(['delay=1500', 'status=429, retry-after-ms=1'])
      const waiting = ask()
      await called(sandbox, 1)
      const other = await ask()
      expect([other.how, callOf(other)]).toEqual(['executed', 3])
      expect(counts()).toEqual(['0', '0', '1'])
      const told = await waiting
      expect([told.how, callOf(told)]).toEqual(['executed', 1])
      expect([sandbox.calls.length, paid(sandbox)]).toEqual([3, 2])
    })

    test.each([429, 500])('an error of status %i that the SDK has seen is answered by another call', async (status) => {
      sandbox.plan([`status=${status}, retry-after-ms=1`])
      const told = await ask()
      expect([told.error, told.how, told.replayed, callOf(told)]).toEqual([undefined, 'executed', null, 2])
      expect(counts()).toEqual(['0', '1'])
      expect([sandbox.calls.length, paid(sandbox)]).toEqual([2, 1])
    })

    test.each([
      ['another credential', 'another', ['executed', 'inferred']],
      ['the control: the same one', 'same', ['inferred', 'executed']],
    ])('a lost attempt is for a retry with its credential only; %s', async (_, whose, ways) => {
      // Tried again while the one whose connection broke still waits for its turn, which is 0.4 s at least.
      sandbox.plan(['delay=1500', 'status=429, retry-after-ms=150'])
      const lost = ask()
      await breakAt(1)
      const credentials = credential === 'Authorization' ? 'Bearer sk-other' : 'sk-ant-other'
      const other = await ask(whose === 'another' ? { headers: { [credential]: credentials } } : {})
      const told = await lost
      expect([other.how, told.how]).toEqual(ways)
      expect(new Set([callOf(other), callOf(told)])).toEqual(new Set([1, 3]))
      expect(paid(sandbox)).toBe(2)
    })
  })

  describe('the control, with --keyless off', () => {
    beforeAll(() => standOn(stage.store(), '--keyless', 'off'))

    test.each(faults)('%s is paid twice', async (_, cost) => {
      const told = await cost()
      expect([told.how, callOf(told)]).toEqual(['ignored', 2])
      expect(sandbox.calls).toHaveLength(2)
    })

    test('equal wishes that all break are paid twice each', async () => {
      const told = await breakMany()
      expect(told.map(({ how }) => how)).toEqual(told.map(() => 'ignored'))
      expect(sandbox.calls).toHaveLength(2 * wishes)
    })
  })
})
