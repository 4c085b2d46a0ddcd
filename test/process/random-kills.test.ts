/** kill -9 at random moments, again and again, under `unknown`: never two calls a key, never two answers. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, test } from 'vitest'
import { freshKey, paid, Stage } from '../e2e/harness.ts'
import { type Ask, type Heard, insist, open } from './wire.ts'

const stage = new Stage()
afterAll(() => stage.close())

/** Repeat a failure with ONCEKEY_SEED=N npx vitest run test/process/random-kills */
const seed = Number(process.env['ONCEKEY_SEED'] ?? 20_261)
const rounds = 10
const callsARound = 12

/** Mulberry32: small, seeded, good enough to spread moments. */
function random(state: number): () => number {
  let a = state
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What all the kills have led to. */
interface Aftermath {
  /** The last answer of each key. */
  readonly ends: readonly { readonly key: string; readonly heard: Heard }[]
  /** All different whole answers of each key, ever. */
  readonly whole: ReadonlyMap<string, ReadonlySet<string>>
  /** Answers that broke off, and whole answers of a key that had one before. */
  readonly cut: number
  readonly repeated: number
  readonly paid: (key: string) => number
}

async function killAtRandom(policy: string): Promise<Aftermath> {
  const next = random(seed)
  const below = (bound: number): number => Math.floor(next() * bound)
  const sandbox = await stage.sandbox()
  const store = stage.store()
  const flags = ['--on-abandoned', policy, '--lease', '1s', '--skew', '200ms']
  const start = (): ReturnType<Stage['gateway']> => stage.gateway({ upstream: sandbox.url, store, flags })
  const asks = new Map<string, Ask>()
  const whole = new Map<string, Set<string>>()
  let cut = 0
  let repeated = 0

  const note = (ask: Ask, heard: Heard): void => {
    if (!heard.whole) cut += 1
    if (heard.status !== 200 || !heard.whole) return
    const key = ask.key ?? ''
    if (whole.has(key)) repeated += 1
    else whole.set(key, new Set())
    whole.get(key)?.add(heard.text)
  }

  for (let round = 0; round < rounds; round++) {
    const gateway = await start()
    const heard = Array.from({ length: callsARound }, () => {
      const known = [...asks.values()]
      const old = known.length > 0 && next() < 0.5 ? known[below(known.length)] : undefined
      const stream = next() < 0.5
      const behave = stream ? `events=${2 + below(20)}, gap=${below(40)}` : `delay=${below(500)}`
      const ask = old ?? { key: freshKey(), stream, behave }
      asks.set(ask.key ?? '', ask)
      const call = open(gateway, ask)
      // Some callers hang up themselves, so that drains are killed too.
      if (next() < 0.15) setTimeout(() => call.hangUp(), below(200))
      return call.heard.then((answer) => note(ask, answer))
    })
    // The random moment is the subject of the test.
    await sleep(20 + below(500))
    await gateway.end('SIGKILL')
    await Promise.all(heard)
  }

  const last = await start()
  const ends = await Promise.all(
    [...asks.values()].map(async (ask) => {
      const heard = await insist(last, { ...ask, behave: 'delay=1' })
      note(ask, heard)
      return { key: ask.key ?? '', heard }
    }),
  )
  await last.end('SIGKILL')
  return { ends, whole, cut, repeated, paid: (key) => paid(sandbox, key) }
}

describe(`${rounds} kills at random moments (seed ${seed})`, { timeout: 120_000 }, () => {
  test('under unknown: never two calls a key, never two answers, and what was answered stays answered', async () => {
    const { ends, whole, cut, repeated, paid } = await killAtRandom('unknown')
    const unknown = ends.filter(({ heard }) => heard.code === 'outcome_unknown')
    const replayed = ends.filter(({ heard }) => heard.how === 'replayed')
    console.log(
      `seed ${seed}: ${ends.length} keys, ${cut} cut answers, ${repeated} repeated, ${replayed.length} replayed and ${unknown.length} unknown in the end`,
    )
    for (const { key, heard } of ends) {
      expect(paid(key), `calls of ${key}`).toBeLessThanOrEqual(1)
      expect(whole.get(key)?.size ?? 0, `different answers of ${key}`).toBeLessThanOrEqual(1)
      expect(heard.status === 200 || heard.code === 'outcome_unknown', `${heard.status} ${heard.code}`).toBe(true)
      if (heard.status === 200) expect(paid(key), `calls of ${key}, which has an answer`).toBe(1)
      else expect(whole.has(key), `${key} was answered and is unknown now`).toBe(false)
    }
    // The kills have hit something, or this test has shown nothing.
    for (const hits of [unknown.length, replayed.length, cut, repeated]) expect(hits).toBeGreaterThan(0)
  })

  test('the control, under reexecute: the ledger sees keys that ran twice, and still no key has two answers', async () => {
    const { ends, whole, paid } = await killAtRandom('reexecute')
    const twice = ends.filter(({ key }) => paid(key) > 1)
    console.log(`seed ${seed}: ${twice.length} of ${ends.length} keys ran more than once`)
    expect(twice.length).toBeGreaterThan(0)
    for (const { key, heard } of ends) {
      expect(heard.status, `the end of ${key}`).toBe(200)
      expect(whole.get(key)?.size, `different answers of ${key}`).toBe(1)
    }
  })
})
