/** Two gateways on one store are one: one call for a storm, one stream for all who join, one pepper. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { answering, freshKey, type Gateway, paid, Stage } from '../e2e/harness.ts'
import { sharedStores } from './stores.ts'
import { type Call, differentBodies, type Heard, open, send, storm } from './wire.ts'

const stage = new Stage()
let sandbox: Sandbox
/** The URL of a fresh store of the kind under test. */
let freshStore: () => string
let a: Gateway
let b: Gateway

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

const duplicates = 50
const slow = 'delay=300'

/** All whole, one body; how many executed. */
function expectOneAnswer(heard: readonly Heard[]): void {
  expect(heard.map(({ status, whole }) => `${status} ${whole}`)).toEqual(heard.map(() => '200 true'))
  expect(differentBodies(heard)).toBe(1)
  expect(heard.filter(({ how }) => how === 'executed')).toHaveLength(1)
  expect(heard.filter(({ how }) => how === 'joined' || how === 'replayed')).toHaveLength(heard.length - 1)
}

describe.each(sharedStores)('over %s', (_, openStore) => {
  beforeAll(async () => {
    freshStore = await openStore(stage)
    const store = freshStore()
    a = await stage.gateway({ upstream: sandbox.url, store })
    b = await stage.gateway({ upstream: sandbox.url, store })
  })

  describe('a storm of duplicates', () => {
    test('over two processes is one call, and all get the same bytes', async () => {
      const heard = await storm([a, b], duplicates, { key: freshKey(), behave: slow })
      expectOneAnswer(heard)
      expect(paid(sandbox)).toBe(1)
      expect(sandbox.calls).toHaveLength(1)
    })

    test('over two processes of one stream is one call, and all get the same events', async () => {
      const ask = { key: freshKey(), stream: true, behave: 'delay=100, events=20, gap=20' }
      const heard = await storm([a, b], duplicates, ask)
      expectOneAnswer(heard)
      expect(heard[0]?.text).toMatch(/data: \[DONE\]\n\n$/)
      expect(paid(sandbox)).toBe(1)
    })

    test('of twenty keys at once over two processes is twenty calls', async () => {
      const keys = Array.from({ length: 20 }, freshKey)
      const storms = await Promise.all(keys.map((key) => storm([a, b], 6, { key, behave: slow })))
      for (const heard of storms) expectOneAnswer(heard)
      for (const key of keys) expect(paid(sandbox, key)).toBe(1)
      expect(sandbox.calls).toHaveLength(20)
    })

    test('against a proxy without Oncekey pays for each of them: the ledger sees what it is to see', async () => {
      const proxy = await plainProxy(sandbox.port)
      const heard = await storm([proxy], duplicates, { key: freshKey(), behave: slow })
      expect(differentBodies(heard)).toBe(duplicates)
      expect(paid(sandbox)).toBe(duplicates)
      expect(() => expectOneAnswer(heard)).toThrow()
    })

    test('over two processes with a store each pays for each store: it is the store that makes them one', async () => {
      const alone = await stage.gateway({ upstream: sandbox.url, store: freshStore() })
      const heard = await storm([a, alone], duplicates, { key: freshKey(), behave: slow })
      expect(differentBodies(heard)).toBe(2)
      expect(paid(sandbox)).toBe(2)
    })
  })

  /** Passes requests on and knows nothing of keys. */
  async function plainProxy(target: number): Promise<{ port: number }> {
    const server = createServer((request, response) => {
      const { method, url, headers } = request
      const onward = httpRequest({ host: '127.0.0.1', port: target, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        answer.pipe(response)
      })
      request.pipe(onward)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    stage.add({ close: () => server.close() })
    return { port: (server.address() as AddressInfo).port }
  }

  describe('a live stream, joined in another process', () => {
    test('of megabytes arrives there byte for byte, and is replayed so by both', async () => {
      const ask = { key: freshKey(), stream: true }
      const owner = open(a, { ...ask, behave: 'events=60, gap=10, size=3000000' })
      await answering(sandbox)
      const [one, two] = await Promise.all([owner.heard, send(b, ask)])
      expect([one.how, two.how]).toEqual(['executed', 'joined'])
      const again = await Promise.all([send(a, ask), send(b, ask)])
      expect(again.map(({ how }) => how)).toEqual(['replayed', 'replayed'])
      expect(one.bytes.length).toBeGreaterThan(3_000_000)
      expect(differentBodies([one, two, ...again])).toBe(1)
      expect([two, ...again].every(({ whole }) => whole)).toBe(true)
      expect(sandbox.calls).toHaveLength(1)
    })

    test('comes from the first event and keeps up', async () => {
      const ask = { key: freshKey(), stream: true }
      const owner = open(a, { ...ask, behave: 'events=40, gap=50' })
      await owner.has('word 5')
      const joiner = open(b, ask)
      const [one, two] = await Promise.all([owner.heard, joiner.heard])
      expect([one.how, two.how]).toEqual(['executed', 'joined'])
      expect(two.whole).toBe(true)
      expect(two.text).toBe(one.text)
      expect(one.text).toContain('word 39')
      expect(paid(sandbox)).toBe(1)
      const lags = lagsMs(owner, joiner)
      const median = lags[lags.length >> 1] ?? Number.POSITIVE_INFINITY
      console.log(
        `the joiner's lag over ${lags.length} events: median ${median.toFixed(1)} ms, most ${lags.at(-1)?.toFixed(1)} ms`,
      )
      expect(lags.length).toBeGreaterThanOrEqual(20)
      expect(median).toBeLessThanOrEqual(150)
    })

    test('ends only after it is settled, for its owner and for the one who joined', async () => {
      const ask = { key: freshKey(), stream: true }
      // The provider says its last word and then holds the line, so there is a second between terminator and settle.
      const owner = open(a, { ...ask, behave: 'events=8, gap=30, close-after-terminator-hang' })
      await answering(sandbox)
      const joiner = open(b, ask)
      await Promise.all([owner.has('"finish_reason":"stop"'), joiner.has('"finish_reason":"stop"')])
      const before = performance.now()
      expect(owner.text).not.toContain('[DONE]')
      expect((await send(b, { ...ask, headers: { Prefer: 'wait=0' } })).how).toBe('joined')
      const asksAgain = async (call: Call): Promise<Heard> => {
        await call.has('[DONE]')
        return send(b, ask)
      }
      const again = await Promise.all([asksAgain(owner), asksAgain(joiner)])
      expect(performance.now() - before).toBeGreaterThan(500)
      expect(again.map(({ how }) => how)).toEqual(['replayed', 'replayed'])
      const [one, two] = await Promise.all([owner.heard, joiner.heard])
      expect(differentBodies([one, two, ...again])).toBe(1)
      expect(one.whole && two.whole).toBe(true)
      expect(sandbox.calls).toHaveLength(1)
    })

    test('that is cut is cut for the one who joined, and is not replayed', async () => {
      const ask = { key: freshKey(), stream: true }
      const owner = open(a, { ...ask, behave: 'events=30, gap=40, cut=3000' })
      await answering(sandbox)
      const joiner = open(b, ask)
      const [one, two] = await Promise.all([owner.heard, joiner.heard])
      expect([one.whole, two.whole]).toEqual([false, false])
      expect(one.text.startsWith(two.text)).toBe(true)
      expect(two.text).toContain('data:')
      const again = await send(b, ask)
      expect([again.how, again.whole]).toEqual(['executed', true])
      expect(again.text).toMatch(/data: \[DONE\]\n\n$/)
      expect(sandbox.calls).toHaveLength(2)
    })
  })

  /** How much later the joiner had what the owner's caller had, for all that came after it joined; sorted. */
  function lagsMs(owner: Call, joiner: Call): number[] {
    const joinedMs = (joiner.marks[0]?.atMs ?? 0) + 50
    return owner.marks
      .filter(({ atMs }) => atMs > joinedMs)
      .map(({ atMs, length }) => (joiner.marks.find((mark) => mark.length >= length)?.atMs ?? Infinity) - atMs)
      .sort((one, two) => one - two)
  }

  describe('the pepper of a store', () => {
    test('is one: a process with another one ends at its start with one sentence', async () => {
      const folder = stage.folder()
      const files = ['one', 'two'].map((name) => {
        const file = join(folder, name)
        writeFileSync(file, `${randomBytes(32).toString('base64')}\n`)
        return file
      })
      const own = { upstream: sandbox.url, store: freshStore() }
      const key = freshKey()
      const first = await stage.gateway({ ...own, flags: ['--pepper-file', files[0] ?? ''] })
      expect((await send(first, { key })).how).toBe('executed')
      const other = stage.spawnGateway({ ...own, flags: ['--pepper-file', files[1] ?? ''] })
      const { code } = await other.exited
      expect([1, 2]).toContain(code)
      expect(other.stdout).toBe('')
      expect(other.stderr).toMatch(/^oncekey: [^\n]*pepper[^\n]*\n$/)
      const same = await stage.gateway({ ...own, flags: ['--pepper-file', files[0] ?? ''] })
      expect((await send(same, { key })).how).toBe('replayed')
    })
  })
})
