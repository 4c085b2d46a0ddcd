/** Which key a request goes out with. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ClientRequest, idempotentFetch } from '../../src/client/index.ts'
import { parseKey } from '../../src/core/key.ts'
import { hastyClock, type Server, scripted, whole } from './world.ts'

let server: Server
beforeAll(async () => {
  server = await scripted()
})
afterAll(() => server.close())

const post = { method: 'POST', body: '{"wish":1}' }

describe('the key of a call', () => {
  test('is a new UUIDv7 of this moment for every POST and PATCH, as the server reads it', async () => {
    server.script(whole(200))
    const ask = idempotentFetch({ clock: hastyClock(0x0123_4567_89ab) })
    for (const method of ['POST', 'PATCH', 'post']) await ask(server.url, { ...post, method })
    const keys = server.asked.map(({ key }) => parseKey([key ?? '']))
    expect(new Set(keys).size).toBe(3)
    for (const key of keys) expect(key).toMatch(/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
  test('is given to no GET, HEAD, PUT or DELETE', async () => {
    server.script(whole(200))
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) await idempotentFetch()(server.url, { method })
    expect(server.asked.map(({ key }) => key)).toEqual([undefined, undefined, undefined, undefined])
  })
  test('is the one that the request has, in every spelling and wherever it stands', async () => {
    server.script(whole(200))
    const ask = idempotentFetch({ key: () => 'another' })
    await ask(server.url, { ...post, headers: { 'idempotency-key': 'mine' } })
    await ask(server.url, { ...post, headers: [['Idempotency-Key', '"mine"']] })
    await ask(new Request(server.url, { ...post, headers: { 'Idempotency-Key': 'mine' } }))
    expect(server.asked.map(({ key }) => key)).toEqual(['mine', '"mine"', 'mine'])
  })
  test('is what `key` makes of the request, quoted so that any visible ASCII survives', async () => {
    server.script(whole(200))
    const seen: ClientRequest[] = []
    const ask = idempotentFetch({
      key: (request) => {
        seen.push(request)
        return `a"b\\c,d;${JSON.parse(request.body as string).wish}`
      },
    })
    await ask(server.url, { ...post, headers: { 'x-job': '7' } })
    expect(server.asked[0]?.key).toBe('"a\\"b\\\\c,d;1"')
    expect(parseKey([server.asked[0]?.key ?? ''])).toBe('a"b\\c,d;1')
    expect(seen[0]).toMatchObject({ method: 'POST', url: server.url, body: post.body })
    expect(seen[0]?.headers.get('x-job')).toBe('7')
  })
  test('is a new one where `key` knows none', async () => {
    server.script(whole(200))
    await idempotentFetch({ key: async () => undefined })(server.url, post)
    expect(server.asked[0]?.key).toMatch(/^"[0-9a-f-]{36}"$/)
  })
  for (const wrong of ['', 'two words', 'schlüssel', 'x'.repeat(256)]) {
    test(`that no server would take is refused before anything is sent: ${wrong.slice(0, 12) || 'nothing'}`, async () => {
      server.script(whole(200))
      await expect(idempotentFetch({ key: () => wrong })(server.url, post)).rejects.toThrow(/1 to 255 characters/)
      expect(server.asked).toEqual([])
    })
  }
})

describe('a key that is kept by name', () => {
  const byLine = ({ body }: ClientRequest) => `line ${(JSON.parse(body as string) as { wish: number }).wish}`

  test('is found again by a program that was restarted, whatever else it asks first', async () => {
    server.script(whole(200))
    const keys = new Map<string, string>()
    const lines = [1, 2, 3].map((wish) => ({ ...post, body: JSON.stringify({ wish }) }))
    for (const line of lines) await idempotentFetch({ persist: { keys, name: byLine } })(server.url, line)
    for (const line of lines.reverse()) await idempotentFetch({ persist: { keys, name: byLine } })(server.url, line)
    const [one, two, three, ...again] = server.asked.map(({ key }) => key)
    expect(again).toEqual([three, two, one])
    expect(new Set([one, two, three]).size).toBe(3)
  })
  test('is safe before the request goes out', async () => {
    server.script(whole(200))
    let isKept = false
    const keys = {
      get: async () => null,
      set: async () => {
        await new Promise((resolve) => setImmediate(resolve))
        expect(server.asked).toEqual([])
        isKept = true
      },
    }
    await idempotentFetch({ persist: { keys, name: byLine } })(server.url, post)
    expect(isKept).toBe(true)
  })
  test('is one for two calls of the same name at once', async () => {
    server.script(whole(200))
    const ask = idempotentFetch({ persist: { keys: slow(new Map()), name: byLine } })
    await Promise.all([ask(server.url, post), ask(server.url, post)])
    expect(new Set(server.asked.map(({ key }) => key)).size).toBe(1)
  })
  test('is that of `key` where it makes one, and no entry is made for a call without a name', async () => {
    server.script(whole(200))
    const keys = new Map<string, string>()
    const persist = { keys, name: ({ headers }: ClientRequest) => headers.get('x-job') ?? undefined }
    const ask = idempotentFetch({ persist, key: () => 'made' })
    await ask(server.url, { ...post, headers: { 'x-job': '7' } })
    await ask(server.url, post)
    expect([...keys]).toEqual([['7', 'made']])
  })
  test('is asked for again after the shelf has failed', async () => {
    server.script(whole(200))
    let isDown = true
    const kept = new Map<string, string>()
    const keys = {
      get: (name: string) => {
        if (isDown) throw new Error('the disk is full')
        return kept.get(name)
      },
      set: (name: string, key: string) => kept.set(name, key),
    }
    const ask = idempotentFetch({ persist: { keys, name: byLine } })
    await expect(ask(server.url, post)).rejects.toThrow('the disk is full')
    expect(server.asked).toEqual([])
    isDown = false
    expect((await ask(server.url, post)).status).toBe(200)
  })
})

function slow(map: Map<string, string>) {
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  return {
    get: async (name: string) => {
      await turn()
      return map.get(name)
    },
    set: async (name: string, key: string) => {
      await turn()
      map.set(name, key)
    },
  }
}
