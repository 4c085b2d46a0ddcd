/** What every official SDK must live through behind the gateway; the provider's ledger says what was paid. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Audit, answering, called, freshKey, type Gateway, ledgerOf, paid, priced, Stage, until } from './harness.ts'
import { fieldOf, type Relay } from './relay.ts'
import type { Ask, Kind, Sdk, Told } from './sdk.ts'

/** The provider's text when nothing is missing: the call's number and as many pieces as were asked for. */
function wholeText(call: number, pieces = 5): RegExp {
  return new RegExp(`^Answer ${call} \\([0-9a-f]{24}\\):( word \\d+){${pieces - 1}}$`)
}

/** The text of the kinds that are made of pieces; embeddings begin with the call's number. */
function expected(kind: Kind, call: number): RegExp {
  return kind === 'embeddings' ? new RegExp(`^${call} \\d+ 1$`) : wholeText(call)
}

/** Describes one SDK; `open` makes it ready. */
export function suite(name: string, open: (stage: Stage) => Promise<Sdk>, kinds: readonly Kind[]): void {
  describe(name, () => {
    const stage = new Stage()
    let sdk: Sdk
    let sandbox: Sandbox
    let gateway: Gateway
    let relay: Relay
    let prompts = 0
    let prompt: string
    let audit: Audit
    let store: string

    beforeAll(async () => {
      sandbox = await stage.sandbox()
      audit = new Audit(sandbox)
      store = stage.store()
      const flags = ['--lease', '3s', '--stop-grace', '1s', '--config', priced(stage)]
      gateway = await stage.gateway({ upstream: sandbox.url, store, flags })
      relay = await stage.relay(gateway)
      sdk = await open(stage)
    })
    beforeEach(() => {
      audit.note()
      sandbox.reset()
      relay.reset()
      // Keyless retries find each other by what they say, so no two tests say the same.
      prompt = `wish ${prompts++}`
    })
    afterAll(() => stage.close())

    /** Straight to the gateway. */
    function ask(kind: Kind, more: Partial<Ask> = {}): Promise<Told> {
      return sdk.ask({ kind, baseURL: gateway.url, prompt, ...more })
    }

    /** Through the flaky network. */
    function askThrough(kind: Kind, more: Partial<Ask> = {}): Promise<Told> {
      return ask(kind, { baseURL: relay.url, ...more })
    }

    /** The retry counts that the SDK declared. */
    function retries(): (string | undefined)[] {
      return relay.requests.map((request) => fieldOf(request, 'x-stainless-retry-count'))
    }

    test('covers every kind of call this SDK has', () => expect(sdk.kinds).toEqual(kinds))

    for (const kind of kinds) {
      test(`${kind}: a call is answered, and its repetition replayed and not paid`, async () => {
        const key = freshKey()
        const first = await ask(kind, { key })
        expect(first).toEqual({ text: expect.stringMatching(expected(kind, 1)), how: 'executed', replayed: null })
        expect(await ask(kind, { key })).toEqual({ text: first.text, how: 'replayed', replayed: 'true' })
        expect(await ask(kind, { key: freshKey() })).toEqual({
          text: expect.stringMatching(expected(kind, 2)),
          how: 'executed',
          replayed: null,
        })
        expect(paid(sandbox)).toBe(2)
      })

      test(`${kind}: an answer that gets lost reaches the SDK's own retry, paid once`, async () => {
        relay.plan('lose')
        const told = await askThrough(kind, { key: freshKey() })
        expect(told).toEqual({
          text: expect.stringMatching(expected(kind, 1)),
          how: expect.stringMatching(/^(replayed|joined)$/),
          replayed: 'true',
        })
        expect(relay.broken).toBe(1)
        expect(retries()).toEqual(['0', '1'])
        expect(paid(sandbox)).toBe(1)
        expect(sandbox.calls).toHaveLength(1)
      })
    }

    if (kinds.includes('transcription'))
      test('the retry of an upload has another boundary and is the same request', async () => {
        relay.plan('lose')
        const told = await askThrough('transcription', { key: freshKey() })
        expect(told.text).toMatch(wholeText(1))
        const types = relay.requests.map((request) => fieldOf(request, 'content-type'))
        expect(types).toHaveLength(2)
        for (const type of types) expect(type).toMatch(/^multipart\/form-data; *boundary=.{10}/)
        expect(types[0]).not.toBe(types[1])
        expect(paid(sandbox)).toBe(1)
      })

    for (const keyed of [true, false]) {
      const how = keyed ? 'with one key' : 'without a key'
      const key = (): Partial<Ask> => (keyed ? { key: freshKey() } : {})

      test(`a timeout and the SDK's retry ${how} are one paid call whose answer arrives`, async () => {
        sandbox.plan(['delay=1100'])
        const told = await askThrough('plain', { ...key(), timeoutMs: 500 })
        expect(told).toEqual({
          text: expect.stringMatching(wholeText(1)),
          how: keyed ? expect.stringMatching(/^(joined|replayed)$/) : 'inferred',
          replayed: 'true',
        })
        expect(retries().slice(0, 2)).toEqual(['0', '1'])
        expect(paid(sandbox)).toBe(1)
        expect(sandbox.calls).toHaveLength(1)
        expect(sandbox.calls[0]?.aborted).toBe(false)
      })

      for (const kind of ['plain', 'stream'] as const) {
        test(`${kind}: a connection that breaks while the provider works is one paid call ${how}`, async () => {
          // Long enough for the retry to come while the call runs.
          sandbox.plan(['delay=1500'])
          const telling = askThrough(kind, key())
          await called(sandbox, 1)
          relay.cutAll()
          const told = await telling
          expect(told).toEqual({
            text: expect.stringMatching(wholeText(1)),
            how: keyed ? 'joined' : 'inferred',
            replayed: 'true',
          })
          expect(retries()).toEqual(['0', '1'])
          expect(paid(sandbox)).toBe(1)
          expect(sandbox.calls).toHaveLength(1)
        })
      }

      test(`a provider that answers between the break and the retry is paid once ${how}`, async () => {
        sandbox.plan(['delay=150'])
        const telling = askThrough('plain', key())
        await called(sandbox, 1)
        relay.cutAll()
        const told = await telling
        expect(told).toEqual({
          text: expect.stringMatching(wholeText(1)),
          how: keyed ? 'replayed' : 'inferred',
          replayed: 'true',
        })
        expect(paid(sandbox)).toBe(1)
        expect(sandbox.calls).toHaveLength(1)
      })
    }

    test('two equal wishes without keys are two paid calls, one after the other and at once', async () => {
      const one = await ask('plain')
      const two = await ask('plain')
      const [three, four] = await Promise.all([ask('plain'), ask('plain')])
      expect([one.how, two.how, three.how, four.how]).toEqual(['executed', 'executed', 'executed', 'executed'])
      expect(new Set([one.text, two.text, three.text, four.text]).size).toBe(4)
      expect(paid(sandbox)).toBe(4)
    })

    test('without keys an equal wish is no retry of one that was given up: two paid calls', async () => {
      sandbox.plan(['delay=300'])
      const givenUp = askThrough('plain', { retries: 0 })
      await called(sandbox, 1)
      relay.cutAll()
      expect((await givenUp).error).toBeDefined()
      const other = await ask('plain')
      expect(other).toEqual({ text: expect.stringMatching(wholeText(2)), how: 'executed', replayed: null })
      expect(paid(sandbox)).toBe(2)
    })

    test('without keys two equal wishes that both break get an answer each: two paid calls', async () => {
      sandbox.plan(['delay=300', 'delay=300'])
      const telling = Promise.all([askThrough('plain'), askThrough('plain')])
      await called(sandbox, 2)
      relay.cutAll()
      const told = await telling
      expect(told.map(({ how }) => how)).toEqual(['inferred', 'inferred'])
      expect(new Set(told.map(({ text }) => text.split(' ', 2)[1]))).toEqual(new Set(['1', '2']))
      expect(retries().sort()).toEqual(['0', '0', '1', '1'])
      expect(paid(sandbox)).toBe(2)
      expect(sandbox.calls).toHaveLength(2)
    })

    test('a second client joins a live stream: the same text, one call', async () => {
      sandbox.plan(['events=12, gap=80'])
      const key = freshKey()
      const first = ask('stream', { key })
      await answering(sandbox)
      const [one, two] = await Promise.all([first, ask('stream', { key })])
      expect(one).toEqual({ text: expect.stringMatching(wholeText(1, 12)), how: 'executed', replayed: null })
      expect(two).toEqual({ text: one.text, how: 'joined', replayed: 'true' })
      expect(paid(sandbox)).toBe(1)
    })

    for (const [what, behaviour] of [
      ['is cut', 'events=12, gap=60, cut=1500'],
      ['ends cleanly without its terminator', 'events=12, gap=60, truncate=8'],
    ] as const) {
      test(`a stream that ${what} raises in the SDK and in one that joined, and is not replayed`, async () => {
        sandbox.plan([behaviour])
        const key = freshKey()
        const first = ask('stream', { key })
        await answering(sandbox)
        const second = ask('stream', { key })
        for (const [told, status] of [
          [await first, 'executed'],
          [await second, 'joined'],
        ] as const) {
          expect(told.how).toBe(status)
          expect(told.text).toMatch(/^Answer 1 /)
          expect(told.text).not.toContain('word 11')
          expect(told.error).toBeDefined()
        }
        const again = await ask('stream', { key })
        expect(again).toEqual({ text: expect.stringMatching(wholeText(2)), how: 'executed', replayed: null })
        expect(await ask('stream', { key })).toEqual({ text: again.text, how: 'replayed', replayed: 'true' })
        expect(paid(sandbox)).toBe(2)
      })
    }

    test('another request under the same key raises a readable 422, is not retried and not run', async () => {
      const key = freshKey()
      const first = await ask('plain', { key })
      const other = await askThrough('plain', { key, prompt: 'something else' })
      expect(other.error).toMatchObject({ status: 422 })
      expect(other.error?.message).toMatch(
        /^422 This idempotency key was used for another request\. Use a new key for a new request; the original still replays\.$/,
      )
      expect(relay.requests).toHaveLength(1)
      expect(await ask('plain', { key })).toMatchObject({ text: first.text, how: 'replayed' })
      expect(sandbox.calls).toHaveLength(1)
    })

    test('a replay has the same bytes, for the SDK and for anybody else', async () => {
      const key = freshKey()
      const first = await ask('raw', { key })
      const again = await ask('raw', { key })
      expect(Buffer.from(first.text, 'base64').toString()).toContain('Answer 1 (')
      expect([first.how, again.how]).toEqual(['executed', 'replayed'])
      expect(again.text).toBe(first.text)
      const { path, body } = sdk.request(prompt)
      // What makes a request the SDK's own: its credential and the version of the API.
      const sent = sandbox.calls[0]?.headers ?? {}
      const kept = Object.entries(sent).filter(([name]) => /^(?:authorization|anthropic-version)$/.test(name))
      const fetched = await fetch(gateway.url + path, {
        method: 'POST',
        headers: { ...Object.fromEntries(kept), 'Content-Type': 'application/json', 'Idempotency-Key': key },
        // The same request in other bytes.
        body: JSON.stringify(body, null, 2),
      })
      expect(fetched.headers.get('idempotency-status')).toBe('replayed')
      expect(Buffer.from(await fetched.arrayBuffer()).toString('base64')).toBe(first.text)
      expect(sandbox.calls).toHaveLength(1)
    })

    test("a provider's 429 is retried by the SDK, then succeeds, then replays", async () => {
      sandbox.plan(['status=429, retry-after-ms=40'])
      const key = freshKey()
      const first = await askThrough('plain', { key })
      expect(first).toEqual({ text: expect.stringMatching(wholeText(2)), how: 'executed', replayed: null })
      expect(retries()).toEqual(['0', '1'])
      expect(await ask('plain', { key })).toEqual({ text: first.text, how: 'replayed', replayed: 'true' })
      expect(sandbox.calls).toHaveLength(2)
      expect(paid(sandbox)).toBe(1)
    })

    test('409 in_progress is obeyed: the SDK comes back after the time it was told', async () => {
      sandbox.plan(['delay=900'])
      const key = freshKey()
      const first = ask('plain', { key })
      await called(sandbox, 1)
      const second = await askThrough('plain', { key, headers: { Prefer: 'wait=0' } })
      expect(second).toEqual({ text: (await first).text, how: 'replayed', replayed: 'true' })
      expect(retries()).toEqual(['0', '1'])
      const [one, two] = relay.requests.map(({ atMs }) => atMs)
      // Without the hint the SDKs come back after half a second at most.
      expect((two ?? 0) - (one ?? 0)).toBeGreaterThanOrEqual(950)
      expect(paid(sandbox)).toBe(1)
    })

    test('409 in_progress raises in the SDK when the original outlasts its retries', async () => {
      sandbox.plan(['delay=60000'])
      const key = freshKey()
      const first = ask('plain', { key })
      await called(sandbox, 1)
      const { error } = await askThrough('plain', { key, headers: { Prefer: 'wait=0' } })
      expect(error).toMatchObject({ status: 409 })
      expect(error?.message).toMatch(/^409 The original request with this key is still running\./)
      expect(retries()).toEqual(['0', '1', '2'])
      expect(sandbox.calls).toHaveLength(1)
      expect(await Promise.race([first, 'running'])).toBe('running')
    })

    test("the ledger of all of this is the provider's own bill", async () => {
      await gateway.end('SIGTERM')
      const ledger = await ledgerOf(stage, store)
      expect(audit.told).toBeGreaterThan(0)
      expect(ledger['nanodollars']).toBe(audit.told)
      // What was charged and told nothing is counted as that.
      expect(audit.untold).toBeGreaterThan(0)
      expect(ledger['unmetered']).toBeGreaterThan(0)
      expect(ledger['unpriced'] ?? 0).toBe(0)
    })
  })
}

/** What a lost answer costs without the gateway, and the one case that needs a key: lost when it was on its way already. */
export function limitOfKeyless(name: string, open: (stage: Stage) => Promise<Sdk>): void {
  describe(`${name}, without the protection`, () => {
    const stage = new Stage()
    let sdk: Sdk
    let sandbox: Sandbox
    beforeAll(async () => {
      sandbox = await stage.sandbox()
      sdk = await open(stage)
    })
    beforeEach(() => sandbox.reset())
    afterAll(() => stage.close())

    test('the control: without the gateway, a lost answer and its retry are paid twice', async () => {
      const relay = await stage.relay(sandbox)
      relay.plan('lose')
      const told = await sdk.ask({ kind: 'plain', baseURL: relay.url, prompt: 'control', key: freshKey() })
      expect(told.text).toMatch(wholeText(2))
      await until(() => paid(sandbox) > 1, 'the ledger sees the second call')
      expect(paid(sandbox)).toBe(2)
    })

    test('the limit: a lost answer that had been written whole is paid again without a key', async () => {
      const gateway = await stage.gateway({ upstream: sandbox.url })
      const relay = await stage.relay(gateway)
      relay.plan('lose')
      const told = await sdk.ask({ kind: 'plain', baseURL: relay.url, prompt: 'limit' })
      expect(told.how).toBe('executed')
      expect(paid(sandbox)).toBe(2)
    })
  })
}
