/** What every client must live through behind the gateway, official SDK or not. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Audit, called, freshKey, type Gateway, ledgerOf, paid, priced, Stage, until } from './harness.ts'
import { answerFieldOf, bodyOf, fieldOf, type Relay } from './relay.ts'
import type { Traits } from './roster.ts'
import type { Ask, Kind, Told } from './sdk.ts'

/** Makes a client ready; the answer makes one call. */
type Open = (stage: Stage) => Promise<(ask: Ask) => Promise<Told>>

/** The provider's text when nothing is missing; Gemini's has an end of its own. */
const whole = (call: number): string => `Answer ${call} \\([0-9a-f]{24}\\): word 1 word 2 word 3 word 4(?: End\\.)?`

const loops: ReadonlySet<Kind> = new Set(['tools', 'toolsStream'])
const streams: readonly Kind[] = ['stream', 'responsesStream']

/** The text of a kind whose first call to the provider has this number. */
function expected(kind: Kind, call: number): RegExp {
  if (loops.has(kind)) return new RegExp(`^${whole(call)}\\n${whole(call + 1)}$`)
  if (kind === 'embeddings') return new RegExp(`^${call} \\d+ 1$`)
  if (kind === 'batch' || kind === 'file') return /^[a-z]+[-_][0-9a-f]{24}$/
  return new RegExp(`^${whole(call)}$`)
}

/** Describes one client. */
export function clientSuite(client: Traits, open: Open): void {
  describe(client.name, () => {
    const stage = new Stage()
    let make: (ask: Ask) => Promise<Told>
    let sandbox: Sandbox
    let relay: Relay
    let splitRelay: Relay
    let prompt: string
    let prompts = 0
    let audit: Audit
    const stores: string[] = []
    const gateways: Gateway[] = []

    beforeAll(async () => {
      sandbox = await stage.sandbox()
      audit = new Audit(sandbox)
      for (const more of ['', 'mismatch: split\n']) {
        const store = stage.store()
        const flags = ['--config', priced(stage, more), '--stop-grace', '1s']
        gateways.push(await stage.gateway({ upstream: sandbox.url, store, flags }))
        stores.push(store)
      }
      const [gateway, splitting] = gateways as [Gateway, Gateway]
      relay = await stage.relay(gateway)
      splitRelay = await stage.relay(splitting)
      make = await open(stage)
    })
    beforeEach(() => {
      audit.note()
      sandbox.reset()
      relay.reset()
      splitRelay.reset()
      prompt = `wish ${prompts++}`
    })
    afterAll(() => stage.close())

    /** Through the flaky network. */
    function ask(kind: Kind, more: Partial<Ask> = {}): Promise<Told> {
      return make({ kind, baseURL: relay.url, prompt, ...more })
    }

    /** How the answers on this way came about, in their order. */
    function ways(through: Relay = relay): (string | undefined)[] {
      return through.requests.map((request) => answerFieldOf(request, 'idempotency-status'))
    }

    /** Tries until it is answered, as a caller does whose client gives up. */
    async function persist(kind: Kind, more: Partial<Ask>, who: 'client' | 'caller'): Promise<Told> {
      const first = await ask(kind, more)
      if (who === 'client') return first
      expect(first.error).toBeDefined()
      return ask(kind, { ...more, timeoutMs: 20_000 })
    }

    test.each(client.kinds.filter((kind) => !loops.has(kind)))(
      '%s: a call is answered, and its repetition replayed byte for byte and not paid',
      async (kind) => {
        const key = freshKey()
        const first = await ask(kind, { key })
        expect(first.error).toBeUndefined()
        expect(first.text).toMatch(expected(kind, 1))
        expect((await ask(kind, { key })).text).toBe(first.text)
        expect((await ask(kind, { key: freshKey() })).text).not.toBe(first.text)
        expect(ways().filter((how) => how !== 'ignored')).toEqual(['executed', 'replayed', 'executed'])
        const [one, again, other] = relay.requests
          .filter((request) => answerFieldOf(request, 'idempotency-status') !== 'ignored')
          .map(bodyOf) as [Buffer, Buffer, Buffer]
        expect(one.length).toBeGreaterThan(50)
        expect([again.equals(one), other.equals(one)]).toEqual([true, false])
        expect(sandbox.calls.filter(({ method }) => method === 'POST')).toHaveLength(2)
      },
    )

    // An object is asked for in the same way as a text.
    test.each(client.kinds.filter((kind) => !loops.has(kind) && kind !== 'object'))(
      '%s: an answer that gets lost reaches the retry, and the provider was called once',
      async (kind) => {
        relay.plan('lose')
        const told = await persist(kind, { key: freshKey() }, client.afterBreak)
        expect(told.error).toBeUndefined()
        expect(told.text).toMatch(expected(kind, 1))
        expect(relay.broken).toBe(1)
        expect(relay.requests).toHaveLength(2)
        expect(ways()[1]).toMatch(/^(?:joined|replayed)$/)
        expect(sandbox.calls).toHaveLength(1)
      },
    )

    test('plain: a timeout and the retry are one paid call whose answer arrives', async () => {
      sandbox.plan(['delay=1400'])
      const told = await persist('plain', { key: freshKey(), timeoutMs: 1000 }, client.afterTimeout)
      expect(told.error).toBeUndefined()
      expect(told.text).toMatch(expected('plain', 1))
      expect(relay.requests.length).toBeGreaterThan(1)
      expect(paid(sandbox)).toBe(1)
      expect(sandbox.calls).toHaveLength(1)
    })

    test.each(streams.filter((kind) => client.kinds.includes(kind)))(
      '%s: a stream that is cut raises, and is not replayed',
      async (kind) => {
        sandbox.plan(['events=40, gap=5, cut=3000'])
        const key = freshKey()
        const told = await ask(kind, { key, retries: 0 })
        expect(told.text).toMatch(/^Answer 1 /)
        expect(told.text).not.toContain('word 39')
        expect(told.error).toBeDefined()
        const again = await ask(kind, { key })
        expect(again.text).toMatch(expected(kind, 2))
        expect(ways()).toEqual(['executed', 'executed'])
      },
    )

    test('plain: another request under the same key raises a sentence that says so, and is not run', async () => {
      const key = freshKey()
      await ask('plain', { key })
      const other = { key, prompt: 'something else', ...(client.retriesRefusals ? { retries: 1 } : {}) }
      const { error } = await ask('plain', other)
      expect(error?.message).toContain('This idempotency key was used for another request.')
      const [first, ...refused] = relay.requests
      expect(refused).toHaveLength(client.retriesRefusals ? 2 : 1)
      for (const request of refused) expect(request.answer).toMatch(/^HTTP\/1.1 422 /)
      expect(fieldOf(first, 'idempotency-key')?.replaceAll('"', '')).toBe(key)
      expect(sandbox.calls).toHaveLength(1)
    })

    test(`plain: without a key its retry is ${client.declaresRetries ? 'known' : 'not known, and paid again'}`, async () => {
      sandbox.plan(['delay=1200'])
      const telling = persist('plain', {}, client.afterBreak)
      await called(sandbox, 1)
      relay.cutAll()
      const told = await telling
      expect(told.text).toMatch(expected('plain', client.declaresRetries ? 1 : 2))
      expect(ways().at(-1)).toBe(client.declaresRetries ? 'inferred' : 'executed')
      expect(sandbox.calls).toHaveLength(client.declaresRetries ? 1 : 2)
    })

    test('plain: the control: without the gateway a lost answer and its retry are paid twice', async () => {
      const bare = await stage.relay(sandbox)
      bare.plan('lose')
      const own = { key: freshKey(), baseURL: bare.url }
      const told = await persist('plain', own, client.afterBreak)
      expect(told.text).toMatch(expected('plain', 2))
      await until(() => paid(sandbox) > 1, 'the ledger sees the second call')
      expect(paid(sandbox)).toBe(2)
      // What went past the gateways is not in their ledger.
      sandbox.reset()
    })

    test.each(client.kinds.filter((kind) => loops.has(kind)))(
      '%s: under mismatch: split one key covers a tool loop, whose repetition is replayed and not paid',
      async (kind) => {
        const own = { key: freshKey(), baseURL: splitRelay.url }
        // Some clients take seconds before a retry, so only one of the kinds has to.
        const breaks = kind === 'tools' && client.afterBreak === 'client'
        if (breaks) splitRelay.plan('pass', 'lose')
        const first = await ask(kind, own)
        expect(first.error).toBeUndefined()
        expect(first.text).toMatch(expected(kind, 1))
        expect(splitRelay.broken).toBe(breaks ? 1 : 0)
        // Of the second step maybe the retry, whose first answer got lost.
        const steps = [splitRelay.requests.at(0), splitRelay.requests.at(-1)].map((step) => step && bodyOf(step))
        expect((await ask(kind, own)).text).toBe(first.text)
        expect(ways(splitRelay).slice(-2)).toEqual(['replayed', 'replayed'])
        const again = splitRelay.requests.slice(-2).map(bodyOf)
        expect(again.map((step, at) => steps[at]?.equals(step))).toEqual([true, true])
        expect(paid(sandbox)).toBe(2)
      },
    )

    test.each(client.kinds.filter((kind) => loops.has(kind)))(
      '%s: the control: under mismatch: reject the second step of a tool loop is refused',
      async (kind) => {
        const told = await ask(kind, { key: freshKey(), ...(client.retriesRefusals ? { retries: 0 } : {}) })
        expect(told.error?.message).toContain('This idempotency key was used for another request.')
        expect(paid(sandbox)).toBe(1)
      },
    )

    test("the ledgers of all of this are the provider's own bill", async () => {
      for (const gateway of gateways) await gateway.end('SIGTERM')
      const ledgers = await Promise.all(stores.map((store) => ledgerOf(stage, store)))
      const spent = ledgers.reduce((sum, ledger) => sum + (ledger['nanodollars'] ?? 0), 0)
      expect(audit.told).toBeGreaterThan(0)
      expect(spent).toBe(audit.told)
    })
  })
}
