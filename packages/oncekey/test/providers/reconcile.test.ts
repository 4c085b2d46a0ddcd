/** Finding a batch again at its provider: what is proved, what is not, and that nothing is guessed. */
import { describe, expect, it } from 'vitest'
import { type Found, type Get, type Reconciler, reconcilerFor } from '../../src/providers/index.ts'

const utf8 = new TextEncoder()
const sinceMs = Date.UTC(2026, 10, 24, 12)
const seconds = (ms: number): number => Math.floor(ms / 1000)
const json = (value: unknown): Uint8Array => utf8.encode(JSON.stringify(value))

const openai = reconcilerFor('/v1/batches') as Reconciler
const anthropic = reconcilerFor('/anthropic/v1/messages/batches/') as Reconciler

/** A provider's list in pages of two, and how often it was asked. */
function listing(objects: readonly object[], after: string, results: Readonly<Record<string, string>> = {}) {
  const asked: string[] = []
  const get: Get = async (suffix, query) => {
    asked.push(`${suffix}?${new URLSearchParams(query)}`)
    const of = /^\/(.+)\/results$/.exec(suffix)?.[1]
    if (of !== undefined) return of in results ? { status: 200, body: utf8.encode(results[of]) } : undefined
    const all = objects as readonly { readonly id: string }[]
    const cursor = query[after]
    const from = cursor === undefined ? 0 : all.findIndex(({ id }) => id === cursor) + 1
    return { status: 200, body: json({ data: all.slice(from, from + 2), has_more: from + 2 < all.length }) }
  }
  return { get, asked }
}

const fails =
  (status: number | undefined, body = '{}'): Get =>
  async () =>
    status === undefined ? undefined : { status, body: utf8.encode(body) }

const kind = async (found: Promise<Found>): Promise<string> => (await found).kind

describe('a path', () => {
  it('has a way to find what it makes, or has none', () => {
    expect(reconcilerFor('/openai/v1/batches/')).toBe(openai)
    expect(reconcilerFor('/v1/Messages/Batches')).toBe(anthropic)
    for (const path of ['/v1/chat/completions', '/v1/batches/b1/cancel', '/v1/files', '/'])
      expect(reconcilerFor(path)).toBeUndefined()
  })
})

describe("OpenAI's batches", () => {
  const body = json({
    input_file_id: 'f',
    endpoint: '/v1/responses',
    completion_window: '24h',
    metadata: { mine: '1' },
  })
  const sought = { name: 'rid.1', body, sinceMs }
  const made = (id: string, ms: number, name?: string): object => ({
    id,
    created_at: seconds(ms),
    metadata: name === undefined ? null : { mine: '1', oncekey: name },
  })

  it('carry their name beside what the client put there', () => {
    const marked = JSON.parse(new TextDecoder().decode(openai.mark?.(body, 'rid.1')))
    expect(marked).toEqual({ ...JSON.parse(new TextDecoder().decode(body)), metadata: { mine: '1', oncekey: 'rid.1' } })
    const bare = openai.mark?.(json({ input_file_id: 'f', metadata: null }), 'n')
    expect(JSON.parse(new TextDecoder().decode(bare))).toEqual({ input_file_id: 'f', metadata: { oncekey: 'n' } })
  })

  it('without room for a name, or that would not survive being written again, stay as they are and are unknowable', async () => {
    const full = Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`k${at}`, 'v']))
    for (const odd of [
      json({ metadata: full }),
      json({ metadata: { oncekey: 'theirs' } }),
      json({ metadata: [1] }),
      utf8.encode('{"n":12345678901234567890}'),
      utf8.encode('no json'),
    ]) {
      expect(openai.mark?.(odd, 'n')).toBeUndefined()
      expect(await kind(openai.find({ ...sought, body: odd }, listing([], 'after').get))).toBe('unknowable')
    }
  })

  it('are found on whatever page they are, by their name alone', async () => {
    const objects = [
      made('e', sinceMs + 9e4, 'other.1'),
      made('d', sinceMs + 8e4),
      made('c', sinceMs + 7e4, 'rid.2'),
      made('b', sinceMs + 6e4, 'rid.1'),
    ]
    const { get, asked } = listing(objects, 'after')
    const found = await openai.find(sought, get)
    expect(found.kind === 'found' && JSON.parse(new TextDecoder().decode(found.body))).toEqual(objects[3])
    expect(asked).toEqual(['?limit=100', '?limit=100&after=d'])
  })

  it('are absent when the list goes back behind them, and no further is looked', async () => {
    const old = [sinceMs + 5e3, sinceMs, sinceMs - 7e5, sinceMs - 8e5, sinceMs - 9e5].map((ms, at) =>
      made(`b${at}`, ms),
    )
    const { get, asked } = listing([...old, made('of another life', sinceMs - 1e6, 'rid.1')], 'after')
    expect(await openai.find(sought, get)).toEqual({ kind: 'absent' })
    expect(asked).toHaveLength(2)
  })

  it('are looked for to the end of a list that does not go back in time', async () => {
    const mixed = [
      made('a', sinceMs - 8e5),
      made('b', sinceMs + 1e3),
      made('c', sinceMs - 9e5),
      made('d', sinceMs + 2e3, 'rid.1'),
    ]
    expect(await kind(openai.find(sought, listing(mixed, 'after').get))).toBe('found')
  })

  it.each<[string, Get]>([
    ['does not answer', fails(undefined)],
    ['answers 401', fails(401)],
    ['answers 500', fails(500)],
    ['answers what is no list', fails(200, '{"data":{}}')],
    ['answers what is no JSON', fails(200, '<html>')],
    [
      'never comes to an end',
      async () => ({ status: 200, body: json({ data: [made('x', sinceMs + 1e3)], has_more: true }) }),
    ],
  ])('are unclear while the provider %s', async (_, get) => {
    expect(await kind(openai.find(sought, get))).toBe('unclear')
  })
})

describe("Anthropic's message batches", () => {
  const ids = ['a', 'b', 'c']
  const body = json({ requests: ids.map((custom_id) => ({ custom_id, params: {} })) })
  const sought = { name: 'rid.1', body, sinceMs }
  const made = (id: string, ms: number, count = 3, status = 'ended'): object => ({
    id,
    created_at: new Date(ms).toISOString(),
    processing_status: status,
    request_counts: { processing: status === 'ended' ? 0 : count, succeeded: status === 'ended' ? count : 0 },
  })
  const lines = (...of: string[]): string =>
    of.map((custom_id) => `${JSON.stringify({ custom_id, result: {} })}\n`).join('')

  it('go out as they are', () => expect(anthropic.mark).toBeUndefined())

  it('are found by their ids once they have ended, and are no other of the same size', async () => {
    const objects = [made('x', sinceMs + 9e4), made('m', sinceMs + 8e4), made('big', sinceMs + 7e4, 4)]
    const { get } = listing(objects, 'after_id', {
      x: lines('a', 'b', 'z'),
      m: lines('c', 'a', 'b'),
      big: lines(...ids),
    })
    const found = await anthropic.find(sought, get)
    expect(found.kind === 'found' && JSON.parse(new TextDecoder().decode(found.body)).id).toBe('m')
  })

  it('are absent when none of that size was made since', async () => {
    const objects = [made('x', sinceMs + 1e3, 2), made('old', sinceMs - 9e5)]
    expect(await anthropic.find(sought, listing(objects, 'after_id', { old: lines(...ids) }).get)).toEqual({
      kind: 'absent',
    })
    const others = listing([made('x', sinceMs + 1e3)], 'after_id', { x: lines('p', 'q', 'r') })
    expect(await anthropic.find(sought, others.get)).toEqual({ kind: 'absent' })
  })

  it('are unclear while one of that size runs, or its results cannot be read', async () => {
    const running = listing([made('x', sinceMs + 1e3, 3, 'in_progress')], 'after_id')
    expect(await kind(anthropic.find(sought, running.get))).toBe('unclear')
    expect(await kind(anthropic.find(sought, listing([made('x', sinceMs)], 'after_id').get))).toBe('unclear')
    expect(await kind(anthropic.find(sought, fails(503)))).toBe('unclear')
  })

  it('are unknowable when several have the same ids, or there are none to tell them by', async () => {
    const twice = listing([made('x', sinceMs + 2e3), made('y', sinceMs + 1e3)], 'after_id', {
      x: lines(...ids),
      y: lines(...ids),
    })
    expect(await kind(anthropic.find(sought, twice.get))).toBe('unknowable')
    expect(await kind(anthropic.find({ ...sought, body: json({ requests: [{}] }) }, twice.get))).toBe('unknowable')
  })
})
