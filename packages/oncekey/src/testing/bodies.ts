/** Conformance of bodies: pieces in order, sealed in one step, and never a byte of another attempt. */
import { inlineBodyBytes } from '../core/store.ts'
import { holds, kind, same } from './expect.ts'
import { bytesOf, type ConformanceCase, completion, concat, takeableMs, usual } from './subject.ts'

const nothing = new Uint8Array(0)

/** S10–S13. */
export const bodies: readonly ConformanceCase[] = [
  {
    name: 'S10 a piece at the end appends, one that lies inside with the same bytes is already there',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      const bytes = bytesOf(300)
      kind(await s.append(id, attemptId, 0, bytes.subarray(0, 100)), 'appended', 'the first')
      kind(await s.append(id, attemptId, 100, bytes.subarray(100, 300)), 'appended', 'the second')
      for (const [from, until] of [
        [0, 100],
        [100, 300],
        [0, 300],
        [50, 150],
        [299, 300],
      ] as const) {
        kind(await s.append(id, attemptId, from, bytes.subarray(from, until)), 'already', `${from} to ${until} again`)
      }
      same((await s.record(id))?.bodyLength, 300, 'the length')
      same(await s.body(id, attemptId), bytes, 'the body')
    },
  },
  {
    name: 'S10 a gap, an overlap past the end and other bytes are refused',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      const bytes = bytesOf(300)
      await s.append(id, attemptId, 0, bytes.subarray(0, 200))
      kind(await s.append(id, attemptId, 201, bytes.subarray(201)), 'refused', 'a gap')
      kind(await s.append(id, attemptId, 150, bytes.subarray(150)), 'refused', 'an overlap')
      kind(await s.append(id, attemptId, 0, bytesOf(200, 9)), 'refused', 'other bytes')
      kind(await s.append(id, s.attempt(), 200, bytes.subarray(200)), 'refused', 'another attempt')
      kind(await s.append(s.id(), attemptId, 0, bytes), 'refused', 'an absent record')
      same(await s.body(id, attemptId), bytes.subarray(0, 200), 'the body')
    },
  },
  {
    name: 'S10 nothing is appended to what is settled or dropped',
    async run(s) {
      const [id, record] = await s.completed(bytesOf(10))
      kind(await s.append(id, record.attemptId, 10, bytesOf(5)), 'refused', 'an append after the settle')
      const dropped = s.id()
      const { attemptId } = await s.granted(dropped)
      await s.append(dropped, attemptId, 0, bytesOf(10))
      const marked = await s.settled(dropped, attemptId, { kind: 'dropped' })
      same([marked.dropped, marked.bodyLength], [true, 0], 'the record')
      kind(await s.append(dropped, attemptId, 0, bytesOf(10)), 'refused', 'an append after the drop')
      same(await s.body(dropped, attemptId), nothing, 'the body')
      kind(await s.settle(dropped, attemptId, completion(bytesOf(10))), 'fenced', 'a completed settle')
      const omitted = { ...completion(nothing), outcome: 'omitted' } as const
      same((await s.settled(dropped, attemptId, omitted)).outcome, 'omitted', 'the outcome')
    },
  },
  {
    name: 'S11 an outcome is sealed only where the appended bytes end',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      await s.append(id, attemptId, 0, bytesOf(100))
      for (const offset of [0, 50, 101]) {
        kind(await s.settle(id, attemptId, completion(bytesOf(20), offset)), 'fenced', `a seal at ${offset}`)
        same(await s.state(id), 'running', 'the state')
      }
      same(await s.body(id, attemptId), bytesOf(100), 'the body')
      const sealed = await s.settled(id, attemptId, completion(bytesOf(20, 7), 100))
      same(sealed.bodyLength, 120, 'the sealed length')
      same(await s.body(id, attemptId), concat([bytesOf(100), bytesOf(20, 7)]), 'the sealed body')
    },
  },
  {
    name: 'S11 the rest and the seal are one step, whatever the rest’s size',
    async run(s) {
      for (const [before, rest] of [
        [0, 3_000_000],
        [1000, inlineBodyBytes * 2 + 1],
        [inlineBodyBytes, 0],
      ] as const) {
        const id = s.id()
        const { attemptId } = await s.granted(id)
        const bytes = bytesOf(before + rest, 5)
        if (before > 0) await s.append(id, attemptId, 0, bytes.subarray(0, before))
        const settled = s.settle(id, attemptId, completion(bytes.subarray(before), before))
        for (let look = 0; look < 5; look++) {
          const record = await s.record(id)
          if (record?.state === 'completed') same(await s.body(id, attemptId), bytes, 'the body once completed')
          else same(record?.bodyLength, before, 'the length before')
        }
        kind(await settled, 'recorded', 'the settle')
        same(await s.body(id, attemptId), bytes, 'the body')
      }
    },
  },
  {
    name: 'S12 a new attempt never sees a byte of a former one',
    async run(s) {
      const id = s.id()
      const former = await s.granted(id)
      await s.append(id, former.attemptId, 0, bytesOf(500, 1))
      await s.advance(takeableMs)
      const owner = await s.granted(id)
      same(owner.bodyLength, 0, 'the length')
      same(await s.body(id, owner.attemptId), nothing, 'the new attempt’s body')
      same(await s.body(id, former.attemptId), nothing, 'the former attempt’s body')
      await s.append(id, owner.attemptId, 0, bytesOf(100, 2))
      same(await s.body(id, owner.attemptId), bytesOf(100, 2), 'the new attempt’s own bytes')
      await s.settled(id, owner.attemptId, completion(bytesOf(10, 3), 100))
      const whole = concat([bytesOf(100, 2), bytesOf(10, 3)])
      same(kind(await s.claim(id, s.attempt()), 'held', 'a claim').body, whole, 'the answered body')
    },
  },
  {
    name: 'S12 also after a release, an expiry, a long body and a sweep',
    async run(s) {
      const id = s.id()
      const first = await s.granted(id)
      const long = bytesOf(200_000)
      for (let at = 0; at < long.length; at += 1000) {
        await s.append(id, first.attemptId, at, long.subarray(at, at + 1000))
      }
      await s.settled(id, first.attemptId, { kind: 'released', retryAfterMs: 0, digest: 'r' })
      same(await s.body(id, first.attemptId), nothing, 'the released attempt’s body')
      const second = await s.granted(id)
      same(await s.body(id, second.attemptId), nothing, 'the second attempt’s body')
      await s.append(id, second.attemptId, 0, bytesOf(700, 4))
      await s.sweep()
      same(await s.body(id, second.attemptId), bytesOf(700, 4), 'its own bytes after a sweep')
      await s.settled(id, second.attemptId, completion(nothing, 700))
      await s.sweep()
      same(await s.body(id, second.attemptId), bytesOf(700, 4), 'its sealed bytes after a sweep')
      await s.advance(usual.retentionMs + 200)
      const third = await s.granted(id)
      same(await s.body(id, third.attemptId), nothing, 'the third attempt’s body')
      same(await s.body(id, second.attemptId), nothing, 'the second attempt’s body once it is over')
    },
  },
  {
    name: 'S13 a body is read in order from any offset',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      const bytes = bytesOf(10_000)
      let at = 0
      for (const length of [1, 4095, 904, 3000, 2000]) {
        await s.append(id, attemptId, at, bytes.subarray(at, at + length))
        at += length
      }
      for (const from of [0, 1, 2, 4096, 5000, 9_999]) {
        same(await s.body(id, attemptId, from), bytes.subarray(from), `the body from ${from}`)
      }
      for (const from of [10_000, 10_001]) same(await s.store.readBody(id, attemptId, from), [], `from ${from}`)
      await s.settled(id, attemptId, completion(nothing, 10_000))
      same(await s.body(id, attemptId, 4_000), bytes.subarray(4_000), 'the sealed body from 4000')
    },
  },
  {
    name: 'S13 a call answers about 1 MiB at most, and nothing where there is nothing yet',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      same(await s.store.readBody(id, attemptId, 0), [], 'before the first byte')
      const bytes = bytesOf(inlineBodyBytes * 12, 6)
      for (let at = 0; at < bytes.length; at += inlineBodyBytes) {
        await s.append(id, attemptId, at, bytes.subarray(at, at + inlineBodyBytes))
      }
      const first = await s.store.readBody(id, attemptId, 100)
      const length = first.reduce((sum, piece) => sum + piece.length, 0)
      holds(length > 0 && length <= 1024 * 1024 + inlineBodyBytes, `${length} bytes are about 1 MiB at most`)
      same(await s.body(id, attemptId), bytes, 'the whole body')
      same(await s.store.readBody(id, s.attempt(), 0), [], 'of another attempt')
      same(await s.store.readBody(s.id(), attemptId, 0), [], 'of an absent record')
    },
  },
]
