/** The client in a real Chromium: a page streams through the gateway while its connection is cut. */
import type { idempotentFetch as Ours } from 'oncekey/client'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { startChromium } from '../../scripts/services.mjs'
import { answering, type Gateway, paid, Stage } from '../e2e/harness.ts'
import { fieldOf, type Relay } from '../e2e/relay.ts'
import { servePage } from './page.ts'

const stage = new Stage()
let sandbox: Sandbox
let gateway: Gateway
let relay: Relay
let browser: Browser
let page: Page
let prompts = 0

beforeAll(async () => {
  sandbox = await stage.sandbox()
  gateway = await stage.gateway({ upstream: sandbox.url, store: 'memory:', flags: ['--keyless', 'off'] })
  relay = await stage.relay(stage.add(await servePage(gateway)))
  browser = stage.add(await startChromium())
}, 120_000)
beforeEach(async () => {
  page = await browser.newPage()
  await page.goto(relay.url)
  sandbox.reset()
  relay.reset()
  prompts += 1
})
afterAll(() => stage.close())

interface Wish {
  readonly url: string
  readonly prompt: string
  readonly isStream: boolean
  /** Without it the browser's own fetch is used. */
  readonly options?: { readonly retries?: number; readonly waitMs?: number }
  /** Keeps the key in localStorage under this name. */
  readonly name?: string
  /** Leaves after so many bytes. */
  readonly leaveAfter?: number
}

/** Asks in the page; what its reader got, and how it ended. */
function ask(wish: Partial<Wish> = {}): Promise<{ text: string; error?: string; how?: string | null }> {
  const whole: Wish = { url: '/v1/chat/completions', prompt: `wish ${prompts}`, isStream: true, ...wish }
  return page.evaluate(askInPage, whole)
}

async function askInPage({ url, prompt, isStream, options, name, leaveAfter }: Wish) {
  const { idempotentFetch } = window as unknown as { idempotentFetch: typeof Ours }
  const keys = {
    get: (entry: string) => localStorage.getItem(entry),
    set: (entry: string, key: string) => localStorage.setItem(entry, key),
  }
  const persist = name === undefined ? {} : { persist: { keys, name: () => name } }
  const ours = options === undefined ? fetch : idempotentFetch({ ...options, ...persist })
  const leaving = new AbortController()
  let text = ''
  try {
    const answer = await ours(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-test' },
      body: JSON.stringify({ model: 'pretend-1', stream: isStream, messages: [{ role: 'user', content: prompt }] }),
      signal: leaving.signal,
    })
    const reader = answer.body?.getReader()
    const decoder = new TextDecoder()
    for (;;) {
      const piece = await reader?.read()
      if (piece === undefined || piece.done) return { text, how: answer.headers.get('idempotency-status') }
      text += decoder.decode(piece.value, { stream: true })
      if (leaveAfter !== undefined && text.length >= leaveAfter) leaving.abort()
    }
  } catch (error) {
    return { text, error: (error as Error).name }
  }
}

/** The same call once more, with its key: the provider's bytes as they are recorded. */
async function recorded(isStream = true): Promise<string> {
  const key = fieldOf(relay.requests[0], 'idempotency-key') ?? ''
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-test', 'idempotency-key': key },
    body: JSON.stringify({
      model: 'pretend-1',
      stream: isStream,
      messages: [{ role: 'user', content: `wish ${prompts}` }],
    }),
  })
  expect(answer.headers.get('idempotency-status')).toBe('replayed')
  return answer.text()
}

describe('a page in Chromium', () => {
  test('gets a stream that is cut twice whole, each byte once, paid once', async () => {
    sandbox.plan(['events=40,gap=15'])
    relay.plan(2500, 4500)
    const { text, error } = await ask({ options: {} })
    expect(error).toBeUndefined()
    expect(relay.broken).toBe(2)
    expect(text).toMatch(/ word 39".*\[DONE\]\n\n$/s)
    expect(text).toBe(await recorded())
    expect([paid(sandbox), sandbox.calls.length]).toEqual([1, 1])
  })
  test('with the browser’s own fetch gets half of it and an error', async () => {
    sandbox.plan(['events=40'])
    relay.plan(2500)
    const { text, error } = await ask()
    expect(error).toBe('TypeError')
    expect(text).not.toContain('[DONE]')
  })
  test('gets an answer that was lost, paid once', async () => {
    relay.plan('lose')
    expect(await ask({ options: {}, isStream: false })).toMatchObject({ how: expect.stringMatching(/replayed|joined/) })
    expect([paid(sandbox), sandbox.calls.length]).toEqual([1, 1])
  })
  test('that is loaded again in the middle of a call finds its key in localStorage, and the call is paid once', async () => {
    sandbox.plan(['events=40,gap=15'])
    const lost = ask({ options: {}, name: 'wish' }).catch(() => undefined)
    await answering(sandbox)
    await page.reload()
    await lost
    const { text, how } = await ask({ options: {}, name: 'wish' })
    expect(how).toMatch(/joined|replayed/)
    expect(text).toMatch(/\[DONE\]\n\n$/)
    expect([paid(sandbox), sandbox.calls.length]).toEqual([1, 1])
  })
  test('ends a stream at once with its AbortController, and nothing is asked again', async () => {
    sandbox.plan(['events=40,gap=15'])
    const { error } = await ask({ options: {}, leaveAfter: 300 })
    expect(error).toBe('AbortError')
    expect(relay.requests).toHaveLength(1)
  })
  test('of another origin is kept away by the browser, for the gateway leaves CORS to the upstream', async () => {
    const { error } = await ask({ url: `${gateway.url}/v1/chat/completions`, options: { retries: 0 } })
    expect(error).toBe('TypeError')
    expect(paid(sandbox)).toBe(0)
    const preflights = [gateway.url, sandbox.url].map((url) => fetch(`${url}/v1/models`, { method: 'OPTIONS' }))
    const [passed, upstream] = await Promise.all(preflights)
    expect(passed?.status).toBe(upstream?.status)
    expect(passed?.headers.get('access-control-allow-headers')).toBe(null)
  })
})
