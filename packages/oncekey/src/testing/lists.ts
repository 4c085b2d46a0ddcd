/** Conformance of the rest: keyless lists, meta, pages of records, and a store that cannot read. */
import { IdempotencyError } from '../core/errors.ts'
import type { RecordId } from '../core/key.ts'
import { holds, kind, rejected, same } from './expect.ts'
import { bytesOf, type ConformanceCase, completion, type Subject, usual } from './subject.ts'

const windowMs = 20_000
const skewMs = usual.skewMs
/** Calls that the engine makes for several records at once, one of which must not fail the others. */
const gathered: ReadonlySet<string> = new Set(['claim', 'read', 'settle', 'append'])

/** S17–S19, S21, and keyless lists and scans. */
export const lists: readonly ConformanceCase[] = [
  {
    name: 'S17 meta writes once and answers what is held',
    async run(s) {
      const name = s.list()
      same(await s.store.meta(name, bytesOf(32, 1)), bytesOf(32, 1), 'the first')
      same(await s.store.meta(name, bytesOf(32, 2)), bytesOf(32, 1), 'the second')
      const raced = s.list()
      const held = await Promise.all([3, 4, 5].map((seed) => s.store.meta(raced, bytesOf(32, seed))))
      same(held, [held[0], held[0], held[0]], 'what three at once are told')
      same(await s.store.meta(raced, bytesOf(1)), held[0], 'what a later one is told')
    },
  },
  {
    name: 'S18 what cannot be read is rejected, never absent, and others are still answered',
    needs: 'damage',
    async run(s, { damage }) {
      const [id, record] = await s.completed(bytesOf(10))
      const sound = s.id()
      await s.granted(sound)
      await damage(id)
      const calls = {
        claim: () => s.claim(id, s.attempt()),
        read: () => s.record(id),
        settle: () => s.settle(id, record.attemptId, completion(bytesOf(10))),
        renew: () => s.renew(id, record.attemptId),
        append: () => s.append(id, record.attemptId, 0, bytesOf(10)),
        readBody: () => s.store.readBody(id, record.attemptId, 0),
      }
      for (const [name, call] of Object.entries(calls)) {
        const error = await rejected(call(), `${name} of an unreadable record`)
        const apart = error instanceof IdempotencyError && error.details.apart === true
        holds(apart || !gathered.has(name), `${name} of an unreadable record rejects with unreadable()`)
      }
      same(await s.state(sound), 'running', 'the other record')
      await s.advance(usual.retentionMs * 2)
      same((await s.sweep()).released, 1, 'what a sweep that meets it does to the other record')
      same((await s.claim(sound, s.attempt())).kind, 'granted', 'a claim of the other record')
    },
  },
  {
    name: 'S18 a closed store rejects',
    needs: 'reopen',
    async run(s, { reopen }) {
      const id = s.id()
      await s.granted(id)
      const second = await reopen()
      await second.close()
      await rejected(second.claim([s.ask(s.id(), s.attempt())]), 'a claim')
      await rejected(second.read([id]), 'a read')
      same(await s.state(id), 'running', 'what the first one reads')
    },
  },
  {
    name: 'S19 an entry whose caller left is adopted by one retry only',
    async run(s) {
      const [list, id] = [s.list(), await entered(s)]
      await s.keyless(list, { kind: 'enter', recordId: id, count: 0, windowMs })
      same(await s.keyless(list, { kind: 'adopt', count: 1, skewMs }), none, 'an adoption while the caller is there')
      same(await s.keyless(list, { kind: 'leave', recordId: id, count: 0 }), { found: id }, 'the caller leaves')
      const retries = [1, 1, 1, 1].map((count) => s.keyless(list, { kind: 'adopt', count, skewMs }))
      const found = (await Promise.all(retries)).filter((answer) => answer.found === id)
      same(found.length, 1, 'adoptions')
      same(await s.keyless(list, { kind: 'adopt', count: 2, skewMs }), none, 'a later one')
      same(await s.keyless(list, { kind: 'leave', recordId: id, count: 0 }), none, 'the first caller no longer counts')
    },
  },
  {
    name: 'S19 the adopter’s own disappearance passes the entry on to a higher count, not to an equal one',
    async run(s) {
      const [list, id] = [s.list(), await entered(s)]
      await s.keyless(list, { kind: 'enter', recordId: id, count: 0, windowMs })
      await s.keyless(list, { kind: 'leave', recordId: id, count: 0 })
      same(await s.keyless(list, { kind: 'adopt', count: 1, skewMs }), { found: id }, 'the first retry')
      await s.keyless(list, { kind: 'leave', recordId: id, count: 1 })
      same(await s.keyless(list, { kind: 'adopt', count: 1, skewMs }), none, 'an equal count')
      same(await s.keyless(list, { kind: 'adopt', count: 2, skewMs }), { found: id }, 'a higher count')
    },
  },
  {
    name: 'S19 the oldest goes first, one entry a retry, none after the window',
    async run(s) {
      const list = s.list()
      const ids = [await entered(s), await entered(s)]
      for (const recordId of ids) {
        await s.keyless(list, { kind: 'enter', recordId, count: 0, windowMs })
        await s.keyless(list, { kind: 'leave', recordId, count: 0 })
      }
      same((await s.keyless(list, { kind: 'adopt', count: 1, skewMs })).found, ids[0], 'the first retry')
      await s.advance(windowMs + 200)
      same(await s.keyless(list, { kind: 'adopt', count: 1, skewMs }), none, 'a retry after the window')
      await s.sweep()
      same(await s.keyless(list, { kind: 'adopt', count: 9, skewMs }), none, 'a retry after a sweep')
    },
  },
  {
    name: 'S19 an entry whose owner is gone is adopted without anybody having left',
    async run(s) {
      const list = s.list()
      const id = s.id()
      await s.granted(id)
      await s.keyless(list, { kind: 'enter', recordId: id, count: 0, windowMs })
      same(await s.keyless(list, { kind: 'adopt', count: 1, skewMs }), none, 'while the lease holds')
      await s.advance(usual.leaseMs + skewMs + 200)
      same(await s.keyless(list, { kind: 'adopt', count: 1, skewMs }), { found: id }, 'once it is over')
    },
  },
  {
    name: 'S19 steps of one call act in order, list by list, and are answered where they were asked',
    async run(s) {
      const [list, other] = [s.list(), s.list()]
      const ids = [await entered(s), await entered(s)] as const
      const enter = (listId: string, recordId: RecordId) =>
        ({ kind: 'enter', listId, recordId, count: 0, windowMs }) as const
      const leave = (listId: string, recordId: RecordId) => ({ kind: 'leave', listId, recordId, count: 0 }) as const
      const adopt = (listId: string) => ({ kind: 'adopt', listId, count: 1, skewMs }) as const
      const answers = await s.store.keyless([
        enter(list, ids[0]),
        adopt(list),
        enter(other, ids[1]),
        leave(list, ids[0]),
        adopt(other),
        adopt(list),
        leave(other, ids[1]),
        adopt(list),
        adopt(other),
      ])
      const found = answers.map((answer) => answer.found)
      same(
        found,
        [undefined, undefined, undefined, ids[0], undefined, ids[0], ids[1], undefined, ids[1]],
        'the answers',
      )
    },
  },
  {
    name: 'S2 entries that enter one list at once are all remembered',
    async run(s) {
      const list = s.list()
      const ids = Array.from({ length: 12 }, () => s.id())
      await Promise.all(ids.map((recordId) => s.keyless(list, { kind: 'enter', recordId, count: 0, windowMs })))
      for (const recordId of ids) {
        same(await s.keyless(list, { kind: 'leave', recordId, count: 0 }), { found: recordId }, 'an entry')
      }
    },
  },
  {
    name: 'S21 tallies are replaced by their writer, kept apart by name and writer, and removed by none',
    async run(s) {
      const name = s.list()
      const tally = (writer: string, counts: Record<string, number>): Promise<void> =>
        s.store.tally([{ name, writer, counts }])
      await tally('a', { executed: 1, spent: 9_007_199_254_740_991 })
      await s.store.tally([
        { name, writer: 'a', counts: { executed: 2, spent: 5 } },
        { name, writer: 'b', counts: { executed: 7 } },
        { name: `${name}"é☃`, writer: 'a', counts: { spent: 9_007_199_254_740_991 } },
      ])
      await tally('b', { executed: 7 })
      same(await counted(s, name), { a: { executed: 2, spent: 5 }, b: { executed: 7 } }, 'what is kept')
      same(await counted(s, `${name}"é☃`), { a: { spent: 9_007_199_254_740_991 } }, 'the other name')
      await tally('a', {})
      await tally('c', {})
      same(await counted(s, name), { b: { executed: 7 } }, 'what is left')
    },
  },
  {
    name: 'S21 all tallies come, page by page',
    async run(s) {
      const name = s.list()
      const writers = Array.from({ length: 1_200 }, (_, at) => `w${at}`)
      await s.store.tally(writers.map((writer, at) => ({ name, writer, counts: { at } })))
      const expected = Object.fromEntries(writers.map((writer, at) => [writer, { at }]))
      same(await counted(s, name), expected, 'what is kept')
    },
  },
  {
    name: 'S21 tallies whose names begin with a prefix come, page by page, and no others',
    async run(s) {
      // What stands for other characters in the patterns of a database, and what JSON escapes, is itself here.
      const [name, begin] = [s.list(), '["*?[a]_%\\']
      const prefix = name + begin
      const others = [
        name,
        name + begin.slice(0, -1),
        `${name}["xy[a]_%\\`,
        `${name}["*?[a]xy\\`,
        `${name}~`,
        `a${prefix}`,
      ]
      const writers = Array.from({ length: 1_200 }, (_, at) => `w${at}`)
      await s.store.tally([
        ...others.map((other) => ({ name: other, writer: 'w', counts: { at: 1 } })),
        ...writers.map((writer, at) => ({ name: prefix, writer, counts: { at } })),
        { name: `${prefix}é☃`, writer: 'w', counts: { at: 2 } },
      ])
      const expected = Object.fromEntries(writers.map((writer, at) => [writer, { at }]))
      same(await counted(s, prefix, prefix), expected, 'the name that is the prefix')
      same(await counted(s, `${prefix}é☃`, prefix), { w: { at: 2 } }, 'a longer name')
      for (const other of others) same(await counted(s, other, prefix), {}, `the name ${other}`)
      for (const other of others) same(await counted(s, other), { w: { at: 1 } }, `the name ${other}, of all`)
    },
  },
  {
    name: 'scan shows every record once, page by page, and by state',
    async run(s) {
      const expected = new Set<string>()
      for (let at = 0; at < 12; at++) expected.add((await s.completed(bytesOf(1)))[0])
      const running = new Set([s.id(), s.id(), s.id()])
      for (const id of running) await s.granted(id)
      same([...(await pages(s, 'completed', 5))].sort(), [...expected].sort(), 'completed records')
      same([...(await pages(s, 'running', 2))].sort(), [...running].sort(), 'running records')
      same((await pages(s, undefined, 4)).length, 15, 'all records')
      same((await pages(s, 'unknown', 4)).length, 0, 'unknown records')
    },
  },
]

const none = { found: undefined }

/** A record that is running, as the operation of a keyless entry is. */
async function entered(s: Subject): Promise<ReturnType<Subject['id']>> {
  const id = s.id()
  kind(await s.claim(id, s.attempt()), 'granted', 'the claim')
  return id
}

/** What is kept under a name, by writer, of all tallies or of those with a prefix. */
async function counted(
  s: Subject,
  name: string,
  prefix?: string,
): Promise<Record<string, Readonly<Record<string, number>>>> {
  const found: Record<string, Readonly<Record<string, number>>> = {}
  let cursor: string | undefined
  do {
    const page = await s.store.tallies(cursor, prefix)
    for (const tally of page.tallies) if (tally.name === name) found[tally.writer] = tally.counts
    cursor = page.cursor
  } while (cursor !== undefined)
  return found
}

async function pages(
  s: Subject,
  state: 'completed' | 'running' | 'unknown' | undefined,
  limit: number,
): Promise<string[]> {
  const found: string[] = []
  let cursor: string | undefined
  do {
    const page = await s.store.scan(cursor, state === undefined ? { limit } : { state, limit })
    holds(page.entries.length <= limit, 'a page is at most its limit')
    for (const { recordId, record } of page.entries) {
      holds(state === undefined || record.state === state, 'only the wanted state is shown')
      found.push(recordId)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return found
}
