/** Conformance of claims: who gets a record, and when somebody else does. */
import type { Fingerprint } from '../core/fingerprint.ts'
import { inlineBodyBytes } from '../core/store.ts'
import { holds, kind, same } from './expect.ts'
import { bytesOf, type ConformanceCase, completion, takeableMs, usual } from './subject.ts'

/** Lease and margin together, and a little: then others may take over. */
const other = { fingerprint: `1${'g'.repeat(43)}` as Fingerprint }

/** S1–S5, T1–T4, T9, T12. */
export const claims: readonly ConformanceCase[] = [
  {
    name: 'S1 answers come one an entry, in order',
    async run(s) {
      const ids = Array.from({ length: 20 }, () => s.id())
      const answers = await s.store.claim(ids.map((id) => s.ask(id, `${id.slice(0, 21)}a` as never)))
      same(answers.length, ids.length, 'the number of answers')
      for (const [at, id] of ids.entries()) {
        same(kind(answers[at], 'granted', 'a claim').record.attemptId, `${id.slice(0, 21)}a`, `answer ${at}`)
      }
      const read = await s.store.read([...ids].reverse())
      same(read[0]?.record?.attemptId, `${ids.at(-1)?.slice(0, 21)}a`, 'the first of a reversed read')
      same(await s.store.claim([]), [], 'no entries')
    },
  },
  {
    name: 'S1 equal ids in one array act in order',
    async run(s) {
      const [id, next] = [s.id(), s.id()]
      const [first, second] = [s.attempt(), s.attempt()]
      const answers = await s.store.claim([s.ask(id, first), s.ask(id, second), s.ask(next, second), s.ask(id, first)])
      same(
        answers.map((answer) => answer.kind),
        ['granted', 'held', 'granted', 'yours'],
        'claims of one id',
      )
      const settled = await s.store.settle([
        { recordId: id, attemptId: first, ...completion(bytesOf(10)) },
        { recordId: id, attemptId: first, ...completion(bytesOf(10)) },
        { recordId: id, attemptId: first, kind: 'released', retryAfterMs: 0, digest: 'other' },
      ])
      same(
        settled.map((answer) => answer.kind),
        ['recorded', 'already', 'fenced'],
        'settles of one id',
      )
    },
  },
  {
    name: 'S1 pieces of one body in one array are appended in order',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      const bytes = bytesOf(3000)
      const pieces = [0, 1000, 2000].map((offset) => ({
        recordId: id,
        attemptId,
        offset,
        bytes: bytes.subarray(offset, offset + 1000),
      }))
      same(
        (await s.store.append(pieces)).map((answer) => answer.kind),
        ['appended', 'appended', 'appended'],
        'the appends',
      )
      same(await s.body(id, attemptId), bytes, 'the body')
    },
  },
  {
    name: 'S2 of many calls at once for one id, one is granted',
    async run(s) {
      for (let round = 0; round < 10; round++) {
        const id = s.id()
        const calls = Array.from({ length: 20 }, () => s.claim(id, s.attempt()))
        const granted = (await Promise.all(calls)).filter((answer) => answer.kind === 'granted')
        same(granted.length, 1, 'grants')
        same((await s.record(id))?.attemptId, granted[0]?.record.attemptId, 'the owner')
      }
    },
  },
  {
    name: 'S2 of many renewals and takeovers at once, the record goes to one',
    async run(s) {
      const id = s.id()
      const former = await s.granted(id)
      await s.advance(takeableMs)
      const renewed = s.renew(id, former.attemptId)
      const taken = await Promise.all(Array.from({ length: 10 }, () => s.claim(id, s.attempt())))
      const grants = taken.filter((answer) => answer.kind === 'granted').length
      same(grants + ((await renewed).kind === 'renewed' ? 1 : 0), 1, 'owners')
    },
  },
  {
    name: 'S2 another way to the same data sees each step, and two ways give one grant',
    needs: 'reopen',
    async run(s, { reopen }) {
      const second = await reopen()
      for (let round = 0; round < 20; round++) {
        const id = s.id()
        const answers = await Promise.all([
          s.store.claim([s.ask(id, s.attempt())]),
          second.claim([s.ask(id, s.attempt())]),
          s.store.claim([s.ask(id, s.attempt())]),
          second.claim([s.ask(id, s.attempt())]),
        ])
        same(answers.flat().filter((answer) => answer.kind === 'granted').length, 1, 'grants')
        same((await second.read([id]))[0]?.record, await s.record(id), 'the record on both ways')
      }
    },
  },
  {
    name: 'S3 a running record is nobody else’s until its lease is over by more than the margin',
    async run(s) {
      const id = s.id()
      const first = await s.granted(id)
      await s.advance(usual.leaseMs - 1_000)
      kind(await s.claim(id, s.attempt()), 'held', 'a claim inside the lease')
      await s.advance(usual.skewMs)
      const held = kind(await s.claim(id, s.attempt()), 'held', 'a claim inside the margin')
      same(held.record.attemptId, first.attemptId, 'the owner')
      holds(held.leaseLeftMs < 0, 'the lease is over inside the margin')
      await s.advance(1_200)
      const granted = kind(await s.claim(id, s.attempt()), 'granted', 'a claim after the margin')
      same([granted.by, granted.record.attempt], ['takeover', 2], 'the takeover')
      kind(await s.claim(id, s.attempt()), 'held', 'a claim after the takeover')
    },
  },
  {
    name: 'S3 a completed record is granted to nobody before it expires',
    async run(s) {
      const [id] = await s.completed(bytesOf(10))
      await s.advance(usual.retentionMs - 500)
      kind(await s.claim(id, s.attempt()), 'held', 'a claim before expiry')
    },
  },
  {
    name: 'S4 a claim that is not granted changes nothing',
    async run(s) {
      const running = s.id()
      await s.granted(running)
      const [completed] = await s.completed(bytesOf(10))
      const greedy = { leaseMs: 90_000, retentionMs: 900_000, onAbandoned: 'unknown', skewMs: 0 } as const
      for (const id of [running, completed]) {
        const before = await s.record(id)
        await s.advance(100)
        const held = kind(await s.claim(id, s.attempt(), greedy), 'held', 'the claim')
        same(held.record, before, 'the record in the answer')
        same(await s.record(id), before, 'the record afterwards')
        kind(await s.claim(id, s.attempt(), { ...greedy, ...other }), 'mismatch', 'another request')
        same(await s.record(id), before, 'the record after a mismatch')
      }
    },
  },
  {
    name: 'S4 the answer tells the store’s time and what is left of the lease',
    async run(s) {
      const id = s.id()
      await s.granted(id)
      const early = kind(await s.claim(id, s.attempt()), 'held', 'the claim')
      await s.advance(3_000)
      const late = kind(await s.claim(id, s.attempt()), 'held', 'the claim')
      holds(Math.abs(late.nowMs - early.nowMs - 3_000) < 500, 'nowMs moves with the store’s clock')
      holds(Math.abs(early.leaseLeftMs - late.leaseLeftMs - 3_000) < 500, 'leaseLeftMs shrinks with it')
      holds(Math.abs(early.leaseLeftMs - usual.leaseMs) < 500, 'leaseLeftMs begins at the lease')
    },
  },
  {
    name: 'S5 the answer for a completed outcome carries its body up to 256 KiB',
    async run(s) {
      for (const length of [0, 1, 1000, inlineBodyBytes]) {
        const bytes = bytesOf(length, length + 1)
        const [id] = await s.completed(bytes)
        const held = kind(await s.claim(id, s.attempt()), 'held', 'the claim')
        same(held.body, bytes, `a body of ${length} bytes`)
      }
      const [large] = await s.completed(bytesOf(inlineBodyBytes + 1))
      same(kind(await s.claim(large, s.attempt()), 'held', 'the claim').body, undefined, 'a body over 256 KiB')
    },
  },
  {
    name: 'S5 the body in the answer is whole when it was appended in pieces',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      const bytes = bytesOf(5000)
      await s.append(id, attemptId, 0, bytes.subarray(0, 2000))
      await s.append(id, attemptId, 2000, bytes.subarray(2000, 2001))
      same('body' in (await s.claim(id, s.attempt())), false, 'a body in the answer while it runs')
      await s.settled(id, attemptId, completion(bytes.subarray(2001), 2001))
      same(kind(await s.claim(id, s.attempt()), 'held', 'the claim').body, bytes, 'the body')
    },
  },
  {
    name: 'T1 a first claim is granted as attempt 1, running, with what was asked',
    async run(s) {
      const [id, attempt] = [s.id(), s.attempt()]
      const answer = await s.claim(id, attempt, { onAbandoned: 'reconcile', rawFingerprint: other.fingerprint })
      const { by, record } = kind(answer, 'granted', 'the claim')
      same(by, 'claim', 'how')
      same(
        [record.state, record.attemptId, record.attempt, record.onAbandoned, record.rawFingerprint, record.recovering],
        ['running', attempt, 1, 'reconcile', other.fingerprint, false],
        'the record',
      )
      same([record.retentionMs, record.tombstoneMs], [usual.retentionMs, usual.tombstoneMs], 'its policy')
      same(await s.record(id), record, 'what is read')
    },
  },
  {
    name: 'T2 a claim whose answer was lost is answered yours, with the same fence',
    async run(s) {
      const [id, attempt] = [s.id(), s.attempt()]
      const first = kind(await s.claim(id, attempt), 'granted', 'the claim')
      same(kind(await s.claim(id, attempt), 'yours', 'the claim again').record, first.record, 'the record')
      await s.settled(id, attempt, completion(bytesOf(1)))
      kind(await s.claim(id, attempt), 'held', 'a claim that arrives after its own settle')
    },
  },
  {
    name: 'T3 the recorded policy decides whether a record may be taken over, not the asker’s',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id, { onAbandoned: 'unknown' })
      await s.settled(id, attemptId, { kind: 'dispatched' })
      await s.advance(takeableMs)
      const held = kind(await s.claim(id, s.attempt(), { onAbandoned: 'reexecute' }), 'held', 'a reexecute claim')
      same([held.record.state, held.record.attemptId], ['unknown', attemptId], 'T4')
      const undispatched = s.id()
      await s.granted(undispatched, { onAbandoned: 'unknown' })
      await s.advance(takeableMs)
      const taken = kind(await s.claim(undispatched, s.attempt()), 'granted', 'a claim before dispatch')
      same(taken.by, 'takeover', 'how')
    },
  },
  {
    name: 'T3 a takeover of a reconcile record is recovering, and what the former attempt left is cleared',
    async run(s) {
      const id = s.id()
      const former = await s.granted(id, { onAbandoned: 'reconcile' })
      await s.append(id, former.attemptId, 0, bytesOf(10))
      await s.settled(id, former.attemptId, { kind: 'head', head: bytesOf(5) })
      await s.advance(takeableMs)
      const { record } = kind(await s.claim(id, s.attempt()), 'granted', 'the takeover')
      same([record.recovering, record.head, record.bodyLength, record.attempt], [true, undefined, 0, 2], 'the record')
      holds(record.fence > former.fence, 'the fence grows')
    },
  },
  {
    name: 'T9 a released record is claimed again, not before retryAt',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      await s.settled(id, attemptId, { kind: 'released', retryAfterMs: 5_000, digest: 'r' })
      kind(await s.claim(id, s.attempt()), 'held', 'a claim too early')
      kind(await s.claim(id, s.attempt(), other), 'mismatch', 'another request')
      await s.advance(5_200)
      const { by, record } = kind(await s.claim(id, s.attempt()), 'granted', 'a claim in time')
      same([by, record.attempt, record.retryAt], ['retry', 2, 0], 'the retry')
    },
  },
  {
    name: 'T12 a claim after the last expiry starts the record over in the same step',
    async run(s) {
      const [id, former] = await s.completed(bytesOf(100))
      await s.advance(usual.retentionMs + 200)
      const { by, record } = kind(await s.claim(id, s.attempt(), other), 'granted', 'the claim')
      same([by, record.attempt, record.state], ['claim_over', 1, 'running'], 'the grant')
      holds(record.fence > former.fence, 'the fence grows')
      same(await s.body(id, record.attemptId), new Uint8Array(0), 'the body')
    },
  },
]
