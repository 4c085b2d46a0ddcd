/** Conformance of steps: kept for the next attempt, gone with the outcome, and only ever the running attempt's word. */
import type { RecordId } from '../core/key.ts'
import { kind, same } from './expect.ts'
import {
  bytesOf,
  type ConformanceCase,
  completion,
  released,
  type Subject,
  takeableMs,
  unknown,
  usual,
} from './subject.ts'

const step = (name: string, value: Uint8Array) => ({ kind: 'step', name, value }) as const

/** Name and bytes, in the order of the names. */
async function kept(s: Subject, id: RecordId): Promise<unknown> {
  const all = (await s.store.steps(id)).map(({ name, value }) => [name, [...value]] as const)
  return all.sort(([a], [b]) => (a < b ? -1 : 1))
}

/** A record with two steps, and the attempt that made them. */
async function stepped(s: Subject, over: Parameters<Subject['granted']>[1] = {}) {
  const id = s.id()
  const { attemptId } = await s.granted(id, { onAbandoned: 'resume', ...over })
  await s.settled(id, attemptId, step('a', bytesOf(3)))
  const record = await s.settled(id, attemptId, step('b', bytesOf(300_000, 7)))
  return { id, attemptId, record }
}

const both = [
  ['a', [...bytesOf(3)]],
  ['b', [...bytesOf(300_000, 7)]],
]

/** Conformance S23. */
export const steps: readonly ConformanceCase[] = [
  {
    name: 'S23 a step is kept under its name, and its record says that there are some',
    async run(s) {
      const { id, attemptId, record } = await stepped(s)
      same([record.state, record.steps], ['running', true], 'the record')
      same(await kept(s, id), both, 'the steps')
      await s.settled(id, attemptId, step('a', bytesOf(5, 2)))
      same(await kept(s, id), [['a', [...bytesOf(5, 2)]], both[1]], 'the steps after one was replaced')
      const other = s.id()
      same((await s.granted(other)).steps, false, 'what a record without says')
      same(await kept(s, other), [], 'the steps of a record without')
      same(await kept(s, s.id()), [], 'the steps of no record')
    },
  },
  {
    name: 'S23 many steps of many records go in one call, in order',
    async run(s) {
      const [a, b] = [s.id(), s.id()]
      const [first, second] = [await s.granted(a), await s.granted(b)]
      const answers = await s.store.settle([
        { recordId: a, attemptId: first.attemptId, ...step('x', bytesOf(1)) },
        { recordId: b, attemptId: second.attemptId, ...step('x', bytesOf(2)) },
        { recordId: a, attemptId: first.attemptId, ...step('x', bytesOf(3)) },
        { recordId: b, attemptId: second.attemptId, ...completion(bytesOf(9)) },
        { recordId: a, attemptId: s.attempt(), ...step('x', bytesOf(4)) },
      ])
      same(
        answers.map((answer) => answer.kind),
        ['recorded', 'recorded', 'recorded', 'recorded', 'fenced'],
        'the answers',
      )
      same(await kept(s, a), [['x', [...bytesOf(3)]]], 'the steps of the one that runs')
      same(await kept(s, b), [], 'the steps of the one that is completed')
    },
  },
  {
    name: 'S23 T3 and T9 hand the steps on, and a late owner can keep none',
    async run(s) {
      const { id, attemptId } = await stepped(s)
      await s.advance(takeableMs)
      const taken = kind(await s.claim(id, s.attempt(), { onAbandoned: 'resume' }), 'granted', 'the takeover')
      same([taken.by, taken.record.steps], ['takeover', true], 'the takeover')
      same(await kept(s, id), both, 'the steps after it')
      kind(await s.settle(id, attemptId, step('a', bytesOf(1))), 'fenced', 'a step of the late owner')
      await s.settled(id, taken.record.attemptId, step('c', bytesOf(0)))
      await s.settled(id, taken.record.attemptId, released)
      same(await kept(s, id), [...both, ['c', []]], 'the steps while it is released')
      const retried = kind(await s.claim(id, s.attempt(), { onAbandoned: 'resume' }), 'granted', 'the retry')
      same([retried.by, retried.record.steps], ['retry', true], 'the retry')
      same(await kept(s, id), [...both, ['c', []]], 'the steps after it')
      await s.advance(usual.retentionMs)
      await s.sweep()
      same(await kept(s, id), [...both, ['c', []]], 'the steps of a record that runs for longer than the retention')
    },
  },
  {
    name: 'S23 the steps go with the outcome, whoever ends the record',
    async run(s) {
      const done = await stepped(s)
      same((await s.settled(done.id, done.attemptId, completion(bytesOf(9)))).steps, false, 'the record')
      same(await kept(s, done.id), [], 'the steps of a completed record')
      kind(await s.settle(done.id, done.attemptId, step('a', bytesOf(1))), 'fenced', 'a step after the end')
      same(await kept(s, done.id), [], 'the steps afterwards')
      const resolved = await stepped(s)
      const outcome = { kind: 'value', head: bytesOf(2), body: bytesOf(6) } as const
      const ask = { recordId: resolved.id, expected: resolved.attemptId, fresh: s.attempt() }
      await s.resolve({ ...ask, to: 'completed', outcome })
      same(await kept(s, resolved.id), [], 'the steps of a resolved record')
      const freed = await stepped(s)
      await s.resolve({ recordId: freed.id, expected: freed.attemptId, fresh: s.attempt(), to: 'released' })
      same(await kept(s, freed.id), both, 'the steps of one that was resolved as released')
      const cancelled = await stepped(s)
      const cancel = { recordId: cancelled.id, expected: cancelled.attemptId, fresh: s.attempt() }
      same(
        kind(await s.resolve({ ...cancel, to: 'cancelled' }), 'recorded', 'the cancel').record.state,
        'released',
        'it',
      )
      same(await kept(s, cancelled.id), both, 'the steps of one that was cancelled')
    },
  },
  {
    name: 'S23 the steps of an unknown record stay until it expires, and its late owner may add to them',
    async run(s) {
      const { id, attemptId } = await stepped(s)
      await s.settled(id, attemptId, unknown)
      same(await kept(s, id), both, 'the steps of an unknown record')
      kind(await s.settle(id, attemptId, step('c', bytesOf(1))), 'recorded', 'a step of its owner')
      await s.advance(usual.retentionMs + 200)
      await s.sweep()
      same(await kept(s, id), [], 'the steps of an expired record')
      const entombed = await stepped(s, { tombstoneMs: usual.retentionMs })
      await s.settled(entombed.id, entombed.attemptId, unknown)
      await s.advance(usual.retentionMs + 200)
      await s.sweep()
      const record = await s.record(entombed.id)
      same([record?.state, record?.steps], ['expired', false], 'a record that is kept as expired')
      same(await kept(s, entombed.id), [], 'its steps')
    },
  },
  {
    name: 'S23 a record that starts over has none of the steps before, however many there were',
    async run(s) {
      const id = s.id()
      const former = await s.granted(id)
      for (let at = 0; at < 3; at++) {
        await s.store.settle(
          Array.from({ length: 100 }, (_, n) => ({
            recordId: id,
            attemptId: former.attemptId,
            ...step(`${at}-${n}`, bytesOf(1)),
          })),
        )
      }
      same(((await kept(s, id)) as unknown[]).length, 300, 'the steps')
      await s.settled(id, former.attemptId, released)
      kind(await s.purge(id, former.attemptId), 'purged', 'the purge')
      const next = await s.granted(id)
      same([next.attempt, next.steps], [1, false], 'the record')
      await s.settled(id, next.attemptId, step('new', bytesOf(2)))
      same(await kept(s, id), [['new', [...bytesOf(2)]]], 'its steps')
      await s.settled(id, next.attemptId, released)
      await s.advance(usual.retentionMs + 200)
      const over = kind(await s.claim(id, s.attempt()), 'granted', 'the claim after the last expiry').record
      same([over.attempt, over.steps], [1, false], 'the record that started over')
      same(await kept(s, id), [], 'its steps')
    },
  },
]
