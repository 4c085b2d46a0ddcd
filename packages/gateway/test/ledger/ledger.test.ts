/** The ledger of a process over a store: what is written when, what survives a store that fails, and what days leave. */
import { memoryStore, type Store } from 'oncekey'
import { faultyStore } from 'oncekey/testing'
import { describe, expect, it } from 'vitest'
import { Ledger, type OwnPrice, Prices, type RequestAccount, saved, summarise } from '../../src/ledger/index.ts'

const price: OwnPrice = { model: 'pretend-*', input: 2, output: 10 }
const dayMs = 86_400_000
const usage = { model: 'pretend-1', units: { inputTokens: 1000, outputTokens: 100 } }
const cost = 1000 * 2_000 + 100 * 10_000

interface Desk {
  readonly ledger: Ledger
  readonly failures: unknown[]
  readonly delays: () => readonly number[]
  /** Lets what waits run, and what that sets going settle. */
  run(): Promise<void>
}

let writers = 0

function open(store: Pick<Store, 'tally' | 'tallies'>, wallMs: () => number = () => Date.UTC(2026, 10, 24, 12)): Desk {
  const waiting = new Map<() => void, number>()
  const failures: unknown[] = []
  const ledger = new Ledger({
    store,
    writer: `w${writers++}`,
    prices: new Map([['', new Prices([price], {})]]),
    wallMs,
    later: (delayMs, run) => {
      waiting.set(run, delayMs)
      return () => void waiting.delete(run)
    },
    failed: (error) => failures.push(error),
  })
  return {
    ledger,
    failures,
    delays: () => [...waiting.values()],
    run: async () => {
      const due = [...waiting.keys()]
      waiting.clear()
      for (const run of due) run()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

function account(
  { ledger }: Desk,
  more: { readonly tenant?: string; readonly model?: string; readonly path?: string } = {},
): RequestAccount {
  const body = new TextEncoder().encode(JSON.stringify({ model: more.model ?? 'pretend-1' }))
  const path = more.path ?? '/v1/chat/completions'
  const made = ledger.account({ upstream: '', method: 'POST', path, headers: [], body })
  made.named(more.tenant ?? 'given:acme', 'id')
  return made
}

const unkept = { keptBytes: undefined, keptMs: dayMs } as const
const final = { class: 'final', status: 200, usage, drained: false, ...unkept } as const
const all = { by: [] } as const

describe('an account', () => {
  it('counts an execution with its tokens and its price, and every replay, join and drained replay as spared', async () => {
    const store = memoryStore()
    const desk = open(store)
    const note = account(desk).executed(final)
    account(desk).spared('replayed', note)
    account(desk).spared('joined', note)
    const drained = account(desk).executed({ ...final, drained: true })
    account(desk).spared('replayed', drained)
    await desk.ledger.close()
    const { total } = await summarise(store, all)
    expect(total).toEqual({
      executed: 2,
      inputTokens: 2000,
      outputTokens: 200,
      nanodollars: 2 * cost,
      replayed: 1,
      replayedNanodollars: cost,
      joined: 1,
      joinedNanodollars: cost,
      drained: 1,
      drainedNanodollars: cost,
    })
    expect(saved(total)).toEqual({ nanodollars: 3 * cost, unpriced: 0 })
  })

  it('guesses nothing: what is not known is counted as that', async () => {
    const store = memoryStore()
    const desk = open(store)
    const silent = account(desk).executed({ ...final, usage: undefined })
    account(desk).executed({ class: 'indeterminate', status: undefined, usage: undefined, drained: false, ...unkept })
    account(desk).executed({ class: 'indeterminate', status: 500, usage: undefined, drained: false, ...unkept })
    account(desk).executed({ class: 'final', status: 400, usage: undefined, drained: false, ...unkept })
    account(desk).executed({ class: 'not_executed', status: 429, usage: undefined, drained: false, ...unkept })
    const unpriced = account(desk).executed({ ...final, usage: { ...usage, model: 'nobody' } })
    account(desk).spared('replayed', silent)
    account(desk).spared('replayed', unpriced)
    account(desk).spared('replayed', { model: 7 })
    account(desk).spared('replayed', undefined)
    account(desk).granted(2, 'takeover')
    account(desk).granted(2, 'retry')
    desk.ledger.abandoned(3)
    await desk.ledger.close()
    const { total } = await summarise(store, all)
    expect(total).toEqual({
      executed: 5,
      unmetered: 3,
      refused: 1,
      notExecuted: 1,
      unpriced: 1,
      inputTokens: 1000,
      outputTokens: 100,
      replayed: 4,
      replayedUnpriced: 4,
      lost: 4,
    })
  })

  it('tells tenants, routes and models apart, and no two requests by what is new in each', async () => {
    const store = memoryStore()
    const desk = open(store)
    account(desk, { tenant: `credential:${'x'.repeat(43)}` }).executed(final)
    account(desk, { tenant: 'anonymous:', path: '/v1/batches/batch_68f2/cancel' }).executed({
      ...final,
      usage: undefined,
    })
    account(desk, { path: '/v1beta/models/gemini-2.5-pro:generateContent' }).executed({ ...final, usage: undefined })
    account(desk, { path: '/v1/batches/batch_9999/cancel', tenant: 'anonymous:' }).executed({
      ...final,
      usage: undefined,
    })
    await desk.ledger.close()
    const { lines } = await summarise(store, { by: ['tenant', 'route', 'model'] })
    expect(lines.map(({ of, counts }) => [of.tenant, of.route, of.model, counts.executed])).toEqual([
      ['acme', 'POST /v1beta/models/*:generateContent', 'gemini-2.5-pro', 1],
      ['anonymous', 'POST /v1/batches/*/cancel', 'pretend-1', 2],
      ['credential xxxxxxxxxxxx', 'POST /v1/chat/completions', 'pretend-1', 1],
    ])
    expect((await summarise(store, { by: [], tenant: 'acme' })).total.executed).toBe(1)
  })

  it('finds the model of an upload in its parts', async () => {
    const store = memoryStore()
    const desk = open(store)
    const form = new FormData()
    form.set('file', new Blob(['name="model"\r\n\r\nforged\r\n']), 'a.wav')
    form.set('model', 'pretend-audio')
    const request = new Request('http://x', { method: 'POST', body: form })
    const headers = ['Content-Type', request.headers.get('content-type') ?? '']
    const body = new Uint8Array(await request.arrayBuffer())
    const made = desk.ledger.account({ upstream: '', method: 'POST', path: '/v1/audio/transcriptions', headers, body })
    made.named('given:acme', 'id')
    made.executed({ ...final, usage: { model: undefined, units: { inputTokens: 10 } } })
    await desk.ledger.close()
    const { lines } = await summarise(store, { by: ['model'] })
    expect(lines).toMatchObject([{ of: { model: 'pretend-audio' }, counts: { nanodollars: 20_000 } }])
  })
})

describe('a ledger', () => {
  it('writes what was paid at the end of the turn, and what was spared a second later', async () => {
    const store = memoryStore()
    const desk = open(store)
    const note = account(desk).executed(final)
    expect(desk.delays()).toContain(0)
    await desk.run()
    expect((await summarise(store, all)).total.executed).toBe(1)
    account(desk).spared('replayed', note)
    expect(desk.delays().filter((ms) => ms === 0)).toEqual([])
    expect((await summarise(store, all)).total.replayed).toBeUndefined()
    await desk.run()
    expect((await summarise(store, all)).total.replayed).toBe(1)
  })

  it('adds up over processes and restarts', async () => {
    const store = memoryStore()
    for (let process = 0; process < 3; process++) {
      const desk = open(store)
      account(desk).executed(final)
      await desk.ledger.close()
    }
    expect((await summarise(store, all)).total).toMatchObject({ executed: 3, nanodollars: 3 * cost })
  })

  for (const fault of ['fail', 'lose', 'twice'] as const) {
    it(`counts nothing twice and loses nothing where a call of the store should ${fault}`, async () => {
      const store = memoryStore()
      const desk = open(faultyStore(store, (call, count) => (call === 'tally' && count <= 2 ? fault : undefined)))
      for (let at = 0; at < 4; at++) {
        account(desk).executed(final)
        await desk.run()
      }
      expect(desk.failures).toHaveLength(fault === 'twice' ? 0 : 2)
      await desk.ledger.close()
      expect((await summarise(store, all)).total).toMatchObject({ executed: 4, nanodollars: 4 * cost })
    })
  }

  it('the control: a store that adds where it should replace is found out', async () => {
    const store = memoryStore()
    const adding: Pick<Store, 'tally' | 'tallies'> = {
      tally: (tallies) =>
        store.tally(tallies.map((one, at) => ({ ...one, writer: `${one.writer}${Math.random()}${at}` }))),
      tallies: (cursor, prefix) => store.tallies(cursor, prefix),
    }
    const desk = open(faultyStore({ ...store, ...adding } as Store, () => undefined))
    for (let at = 0; at < 3; at++) {
      account(desk).executed(final)
      await desk.run()
    }
    await desk.ledger.close()
    expect((await summarise(store, all)).total.executed).toBeGreaterThan(3)
  })

  it('begins a day anew, keeps four hundred, and removes older ones whoever wrote them', async () => {
    const store = memoryStore()
    let now = Date.UTC(2026, 0, 1, 23, 59)
    const older = open(store, () => now)
    account(older).executed(final)
    await older.ledger.close()
    now += 2 * dayMs
    const desk = open(store, () => now)
    account(desk).executed(final)
    await desk.run()
    now += dayMs
    account(desk).executed(final)
    await desk.run()
    const days = async (): Promise<unknown[]> => (await summarise(store, { by: ['day'] })).lines.map(({ of }) => of.day)
    expect(await days()).toEqual(['2026-01-01', '2026-01-03', '2026-01-04'])
    expect((await summarise(store, { by: ['day'], since: '2026-01-03', until: '2026-01-03' })).lines).toHaveLength(1)
    now += 398 * dayMs
    account(desk).executed(final)
    await desk.run()
    await desk.run()
    expect(await days()).toEqual(['2026-01-03', '2026-01-04', '2027-02-06'])
  })

  it('counts the requests of too many rows in one', async () => {
    const store = memoryStore()
    const desk = open(store)
    for (let at = 0; at < 10_020; at++) account(desk, { tenant: `given:t${at}` }).executed(final)
    await desk.ledger.close()
    const { lines, total } = await summarise(store, { by: ['tenant'] })
    expect(total.executed).toBe(10_020)
    expect(lines).toHaveLength(10_001)
    expect(lines.find(({ of }) => of.tenant === '(more)')?.counts.executed).toBe(20)
  })
})
