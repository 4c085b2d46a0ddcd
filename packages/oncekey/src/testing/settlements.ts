/** Conformance of settles, progress, renewals and resolutions: who may end a record, and that it is seen. */
import { holds, kind, same } from './expect.ts'
import {
  bytesOf,
  type ConformanceCase,
  completion,
  type Ending,
  released,
  takeableMs,
  unknown,
  usual,
} from './subject.ts'

/** S6–S9, S22, T4–T8. */
export const settlements: readonly ConformanceCase[] = [
  {
    name: 'S6 what was acknowledged is seen by the very next call',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      same((await s.record(id))?.attemptId, attemptId, 'the claim')
      await s.settle(id, attemptId, { kind: 'dispatched' })
      same((await s.record(id))?.dispatched, true, 'dispatched')
      await s.settle(id, attemptId, { kind: 'head', head: bytesOf(7) })
      same((await s.record(id))?.head, bytesOf(7), 'the head')
      await s.append(id, attemptId, 0, bytesOf(11))
      same((await s.record(id))?.bodyLength, 11, 'the append')
      await s.settle(id, attemptId, completion(bytesOf(0), 11))
      same(await s.state(id), 'completed', 'the settle')
    },
  },
  {
    name: 'S6 what was acknowledged is there on another way to the data',
    needs: 'reopen',
    async run(s, { reopen }) {
      const id = s.id()
      const { attemptId } = await s.granted(id, { onAbandoned: 'unknown' })
      const second = await reopen()
      same((await second.read([id]))[0]?.record?.attemptId, attemptId, 'the claim')
      await s.append(id, attemptId, 0, bytesOf(2000))
      same((await second.readBody(id, attemptId, 0)).length > 0, true, 'the append')
      await s.settled(id, attemptId, completion(bytesOf(3), 2000))
      same((await second.read([id]))[0]?.record?.state, 'completed', 'the settle')
      const third = await reopen()
      same((await third.read([id]))[0]?.record, await s.record(id), 'the record')
    },
  },
  {
    name: 'S7 a renewal extends the lease from now',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      await s.advance(8_000)
      kind(await s.renew(id, attemptId), 'renewed', 'the renewal')
      await s.advance(usual.leaseMs - 200)
      kind(await s.claim(id, s.attempt()), 'held', 'a claim inside the renewed lease')
      await s.advance(usual.skewMs + 400)
      kind(await s.claim(id, s.attempt()), 'granted', 'a claim after it')
    },
  },
  {
    name: 'S7 a renewal revives a lapsed lease that nobody took',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      await s.advance(takeableMs * 3)
      kind(await s.renew(id, attemptId), 'renewed', 'the renewal')
      kind(await s.claim(id, s.attempt()), 'held', 'a claim afterwards')
    },
  },
  {
    name: 'S8 an attempt that the record no longer has is refused and changes nothing',
    async run(s) {
      const id = s.id()
      const late = await s.granted(id)
      await s.advance(takeableMs)
      const owner = await s.granted(id)
      const endings: Ending[] = [
        { kind: 'dispatched' },
        { kind: 'head', head: bytesOf(3) },
        { kind: 'dropped' },
        completion(bytesOf(9)),
        released,
        unknown,
      ]
      for (const ending of endings) {
        const refused = kind(await s.settle(id, late.attemptId, ending), 'fenced', `${ending.kind} of a late owner`)
        same(refused.record, owner, 'the record in the answer')
      }
      kind(await s.renew(id, late.attemptId), 'fenced', 'a renewal of a late owner')
      kind(await s.append(id, late.attemptId, 0, bytesOf(3)), 'refused', 'an append of a late owner')
      same(await s.record(id), owner, 'the record')
      await s.settled(id, owner.attemptId, completion(bytesOf(4)))
      kind(await s.settle(id, late.attemptId, completion(bytesOf(9))), 'fenced', 'a settle after the owner’s')
      same(await s.body(id, owner.attemptId), bytesOf(4), 'the body')
      const absent = kind(await s.settle(s.id(), late.attemptId, released), 'fenced', 'a settle of an absent record')
      same(absent.record, undefined, 'the absent record')
    },
  },
  {
    name: 'S9 a settle repeated by the same attempt with the same digest is already there',
    async run(s) {
      for (const ending of [completion(bytesOf(30)), released, unknown]) {
        const id = s.id()
        const { attemptId } = await s.granted(id)
        const first = await s.settled(id, attemptId, ending)
        await s.advance(1_000)
        same(kind(await s.settle(id, attemptId, ending), 'already', 'the second').record, first, 'the record')
        same(await s.record(id), first, 'the record afterwards')
      }
      const id = s.id()
      const { attemptId } = await s.granted(id)
      await s.settled(id, attemptId, completion(bytesOf(30)))
      kind(await s.settle(id, attemptId, completion(bytesOf(30, 2), 0, 'another')), 'fenced', 'another outcome')
      kind(await s.settle(id, attemptId, released), 'fenced', 'another ending')
      same(await s.body(id, attemptId), bytesOf(30), 'the body')
    },
  },
  {
    name: 'T4 under unknown, once dispatched, a lapsed record becomes unknown and keeps its attempt',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id, { onAbandoned: 'unknown' })
      await s.settled(id, attemptId, { kind: 'dispatched' })
      await s.advance(usual.leaseMs + usual.skewMs - 1_000)
      same((await s.sweep()).abandoned, 0, 'abandoned inside the margin')
      await s.advance(1_200)
      same((await s.sweep()).abandoned, 1, 'abandoned after it')
      const record = await s.record(id)
      same([record?.state, record?.attemptId], ['unknown', attemptId], 'the record')
      kind(await s.claim(id, s.attempt()), 'held', 'a claim')
    },
  },
  {
    name: 'T5 a renewal tells the owner of an abandoned record so, and of a resolved one who ended it',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id, { onAbandoned: 'unknown' })
      await s.settled(id, attemptId, { kind: 'dispatched' })
      await s.advance(takeableMs)
      await s.sweep()
      kind(await s.renew(id, attemptId), 'unknown', 'a renewal after T4')
      await s.resolve({ recordId: id, expected: attemptId, fresh: s.attempt(), to: 'released' })
      same(await s.renew(id, attemptId), { kind: 'fenced', resolved: true }, 'a renewal after T8')
      const taken = s.id()
      const late = await s.granted(taken)
      await s.advance(takeableMs)
      await s.granted(taken)
      same(await s.renew(taken, late.attemptId), { kind: 'fenced', resolved: false }, 'a renewal after T3')
    },
  },
  {
    name: 'T6 the late truth of its owner ends an unknown record',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id, { onAbandoned: 'unknown' })
      await s.settled(id, attemptId, { kind: 'dispatched' })
      await s.advance(takeableMs)
      await s.sweep()
      same((await s.settled(id, attemptId, completion(bytesOf(5)))).state, 'completed', 'the record')
    },
  },
  {
    name: 'T7 a settle that is lost and sent again in one batch with others is recognised',
    async run(s) {
      const [a, b] = [s.id(), s.id()]
      const [first, second] = [await s.granted(a), await s.granted(b)]
      await s.settled(a, first.attemptId, completion(bytesOf(8)))
      const answers = await s.store.settle([
        { recordId: a, attemptId: first.attemptId, ...completion(bytesOf(8)) },
        { recordId: b, attemptId: second.attemptId, ...completion(bytesOf(9)) },
      ])
      same(
        answers.map((answer) => answer.kind),
        ['already', 'recorded'],
        'the answers',
      )
    },
  },
  {
    name: 'T8 an operator ends what is unknown or running under a fresh attempt, and only what was expected',
    async run(s) {
      const id = s.id()
      const owner = await s.granted(id)
      const fresh = s.attempt()
      await s.append(id, owner.attemptId, 0, bytesOf(50))
      const outcome = { kind: 'response', head: bytesOf(2), body: bytesOf(60, 3) } as const
      const wrong = { recordId: id, expected: s.attempt(), fresh, to: 'completed', outcome } as const
      kind(await s.resolve(wrong), 'fenced', 'a resolve that expects another attempt')
      const right = { ...wrong, expected: owner.attemptId }
      const done = kind(await s.resolve(right), 'recorded', 'the resolve').record
      same([done.state, done.attemptId, done.resolved, done.bodyLength], ['completed', fresh, true, 60], 'the record')
      kind(await s.resolve(right), 'already', 'the resolve again')
      same(await s.body(id, fresh), bytesOf(60, 3), 'the body')
      same(await s.body(id, owner.attemptId), new Uint8Array(0), 'the former attempt’s body')
      kind(await s.settle(id, owner.attemptId, completion(bytesOf(0), 50)), 'fenced', 'the owner’s settle')
      const [ended] = await s.completed(bytesOf(1))
      const late = { recordId: ended, expected: (await s.record(ended))?.attemptId as never, fresh: s.attempt() }
      kind(await s.resolve({ ...late, to: 'released' }), 'fenced', 'a resolve of a settled record')
    },
  },
  {
    name: 'S22 a cancel of what may have run leaves it unknown for good, unless its policy lets it run again',
    async run(s) {
      const ended = async (onAbandoned: 'unknown' | 'reexecute' | 'reconcile', dispatched: boolean) => {
        const id = s.id()
        const { attemptId } = await s.granted(id, { onAbandoned })
        if (dispatched) await s.settle(id, attemptId, { kind: 'dispatched' })
        await s.append(id, attemptId, 0, bytesOf(50))
        const ask = { recordId: id, expected: attemptId, fresh: s.attempt(), to: 'cancelled' } as const
        const { record } = kind(await s.resolve(ask), 'recorded', 'the cancel')
        kind(await s.resolve(ask), 'already', 'the cancel again')
        const attempt = record.state === 'released' ? attemptId : ask.fresh
        same([record.attemptId, record.resolved, record.bodyLength], [attempt, true, 0], 'the record')
        if (record.state === 'released')
          kind(
            await s.claim(id, attemptId, { onAbandoned }),
            'held',
            'a claim of the cancelled attempt that comes late',
          )
        same(await s.renew(id, attemptId), { kind: 'fenced', resolved: true }, 'the owner’s renewal')
        kind(await s.settle(id, attemptId, completion(bytesOf(0), 50)), 'fenced', 'the owner’s settle')
        const { kind: retry } = await s.claim(id, s.attempt())
        return [record.state, retry]
      }
      same(await ended('unknown', true), ['unknown', 'held'], 'of what was dispatched under unknown')
      same(await ended('unknown', false), ['released', 'granted'], 'of what was not')
      same(await ended('reexecute', false), ['released', 'granted'], 'under reexecute')
      same(await ended('reconcile', false), ['unknown', 'held'], 'under reconcile')
    },
  },
  {
    name: 'S22 a cancel ends nothing but what runs',
    async run(s) {
      const cancelled = async (id: ReturnType<typeof s.id>) => {
        const expected = (await s.record(id))?.attemptId ?? s.attempt()
        return (await s.resolve({ recordId: id, expected, fresh: s.attempt(), to: 'cancelled' })).kind
      }
      const [completed] = await s.completed(bytesOf(1))
      const lost = s.id()
      const { attemptId } = await s.granted(lost, { onAbandoned: 'unknown' })
      await s.settle(lost, attemptId, unknown)
      const given = s.id()
      const back = await s.granted(given)
      await s.settle(given, back.attemptId, released)
      for (const id of [completed, lost, given, s.id()]) same(await cancelled(id), 'fenced', 'the cancel')
      const states = [await s.state(completed), await s.state(lost), await s.state(given)]
      same(states, ['completed', 'unknown', 'released'], 'the states')
    },
  },
  {
    name: 'T8 a record resolved as released runs again',
    async run(s) {
      const id = s.id()
      const { attemptId, fence } = await s.granted(id)
      await s.resolve({ recordId: id, expected: attemptId, fresh: s.attempt(), to: 'released' })
      const { by, record } = kind(await s.claim(id, s.attempt()), 'granted', 'the claim')
      same([by, record.resolved], ['retry', false], 'the retry')
      holds(record.fence > fence, 'the fence grows')
    },
  },
]
