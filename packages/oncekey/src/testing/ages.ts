/** Conformance of time: fences, retention, expiry, purge, and a sweep that others do not notice. */
import { holds, kind, same } from './expect.ts'
import { bytesOf, type ConformanceCase, completion, takeableMs, usual } from './subject.ts'

const day = 86_400_000

/** S14–S16, S20, T10, T11, T13, I9. */
export const ages: readonly ConformanceCase[] = [
  {
    name: 'S14 fences of one id strictly increase over takeovers, retries and claims over',
    async run(s) {
      const id = s.id()
      const fences = [(await s.granted(id)).fence]
      await s.advance(takeableMs)
      const taken = await s.granted(id)
      fences.push(taken.fence)
      await s.settled(id, taken.attemptId, { kind: 'released', retryAfterMs: 0, digest: 'r' })
      const retried = await s.granted(id)
      fences.push(retried.fence)
      await s.settled(id, retried.attemptId, completion(bytesOf(1)))
      await s.advance(usual.retentionMs + 200)
      fences.push((await s.granted(id)).fence)
      for (let at = 1; at < fences.length; at++) {
        holds((fences[at] ?? 0) > (fences[at - 1] ?? 0), `fence ${at} of ${fences.join(', ')} is above the one before`)
      }
    },
  },
  {
    name: 'S14 I9 also across purge, with a wall clock that steps back',
    async run(s) {
      const [id, former] = await s.completed(bytesOf(1))
      const later = s.id()
      await s.stepWall(1000)
      const highest = await s.granted(later)
      await s.settled(later, highest.attemptId, completion(bytesOf(1)))
      await s.advance(usual.retentionMs + 200)
      same((await s.sweep()).purged, 2, 'purged')
      same([await s.state(id), await s.state(later)], ['absent', 'absent'], 'the records')
      await s.stepWall(-30 * day)
      holds((await s.granted(id)).fence > former.fence, 'the fence is above the purged one')
      holds((await s.granted(later)).fence > highest.fence, 'the fence is above the other purged one')
    },
  },
  {
    name: 'S14 a record that stays has its own fence as the bound when the wall clock steps back',
    async run(s) {
      const id = s.id()
      const first = await s.granted(id)
      await s.settled(id, first.attemptId, { kind: 'released', retryAfterMs: 0, digest: 'r' })
      await s.stepWall(-day)
      holds((await s.granted(id)).fence > first.fence, 'the fence grows')
    },
  },
  {
    name: 'S15 a running record never vanishes by age, and retention runs from settlement',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      for (let at = 0; at < 20; at++) {
        await s.advance(usual.leaseMs / 2)
        kind(await s.renew(id, attemptId), 'renewed', 'a renewal')
        await s.sweep()
      }
      const record = await s.record(id)
      same([record?.state, record?.attemptId], ['running', attemptId], 'the record after more than its retention')
      await s.settled(id, attemptId, completion(bytesOf(5)))
      await s.advance(usual.retentionMs - 1_000)
      await s.sweep()
      same(await s.state(id), 'completed', 'the state inside the retention')
      same(kind(await s.claim(id, s.attempt()), 'held', 'a claim').body, bytesOf(5), 'its body')
    },
  },
  {
    name: 'S15 a wall clock that jumps forward ends no lease and no running record',
    async run(s) {
      const id = s.id()
      const { attemptId } = await s.granted(id)
      // A database's clock is the leases' too: they are over then, and the record stays for those who look for it.
      const ownClock = s.store.capabilities.clock === 'store'
      await s.stepWall(ownClock ? usual.retentionMs / 2 : 3 * day)
      await s.sweep()
      same(await s.state(id), 'running', 'the state')
      if (!ownClock) kind(await s.claim(id, s.attempt()), 'held', 'a claim')
      kind(await s.renew(id, attemptId), 'renewed', 'a renewal')
    },
  },
  {
    name: 'S16 a sweep works in pieces of its limit, and comes to its end',
    async run(s) {
      for (let at = 0; at < 35; at++) await s.completed(bytesOf(3))
      const live = s.id()
      await s.granted(live, { leaseMs: day })
      await s.advance(usual.retentionMs + 200)
      let purged = 0
      let pieces = 0
      for (let more = true; more; pieces++) {
        const report = await s.store.sweep(10, usual.skewMs)
        holds(report.purged + report.expired <= 10, 'a piece is at most its limit')
        purged += report.purged
        more = report.more
        kind(await s.claim(live, s.attempt()), 'held', 'a claim between two pieces')
        holds(pieces < 100, 'the sweep comes to its end')
      }
      same(purged, 35, 'purged')
      same(await s.state(live), 'running', 'the running record')
    },
  },
  {
    name: 'S16 claims are answered while a sweep runs, and two sweeps at once purge each record once',
    async run(s) {
      for (let at = 0; at < 40; at++) await s.completed(bytesOf(2000))
      await s.advance(usual.retentionMs + 200)
      const sweeps = [s.sweep(5), s.sweep(5)]
      for (let at = 0; at < 10; at++) await s.granted(s.id())
      const done = await Promise.all(sweeps)
      await s.sweep(5)
      holds(done.reduce((sum, report) => sum + report.purged, 0) <= 40, 'no record is purged twice')
      same((await s.sweep()).purged, 0, 'left over')
    },
  },
  {
    name: 'T10 an outcome expires: its body goes, and with a tombstone the key stays refused',
    async run(s) {
      const [id, record] = await s.completed(bytesOf(100), { tombstoneMs: 30_000 })
      await s.advance(usual.retentionMs + 200)
      const held = kind(await s.claim(id, s.attempt()), 'held', 'a claim after expiry')
      same([held.record.state, held.record.bodyLength, held.body], ['expired', 0, undefined], 'the answer')
      same(await s.body(id, record.attemptId), new Uint8Array(0), 'the body')
      const [swept] = await s.completed(bytesOf(100), { tombstoneMs: 30_000 })
      await s.advance(usual.retentionMs + 200)
      same((await s.sweep()).expired, 1, 'expired by the sweeper')
      same(await s.state(swept), 'expired', 'the state')
    },
  },
  {
    name: 'T11 what is over is purged, and not before',
    async run(s) {
      const [id] = await s.completed(bytesOf(10), { tombstoneMs: 30_000 })
      const released = s.id()
      const { attemptId } = await s.granted(released)
      await s.settled(released, attemptId, { kind: 'released', retryAfterMs: 0, digest: 'r' })
      await s.advance(usual.retentionMs - 500)
      same((await s.sweep()).purged, 0, 'purged too early')
      await s.advance(700)
      same((await s.sweep()).purged, 1, 'purged: the released one')
      same([await s.state(id), await s.state(released)], ['expired', 'absent'], 'the states')
      await s.advance(30_200)
      same((await s.sweep()).purged, 1, 'purged: the tombstone')
      const { by } = kind(await s.claim(id, s.attempt()), 'granted', 'a claim afterwards')
      same(by, 'claim', 'how')
    },
  },
  {
    name: 'T13 a record that nobody came back for is given up after its retention, unless its effect may have begun',
    async run(s) {
      const [plain, dispatched] = [s.id(), s.id()]
      await s.granted(plain)
      const { attemptId } = await s.granted(dispatched, { onAbandoned: 'unknown' })
      await s.settled(dispatched, attemptId, { kind: 'dispatched' })
      await s.advance(usual.retentionMs)
      same((await s.sweep()).released, 0, 'released too early')
      await s.advance(takeableMs)
      same((await s.sweep()).released, 1, 'released')
      same([await s.state(plain), await s.state(dispatched)], ['released', 'unknown'], 'the states')
    },
  },
  {
    name: 'S20 what has ended is purged with its bytes, and its key begins anew above its fence',
    async run(s) {
      for (const bytes of [bytesOf(10), bytesOf(700_000)]) {
        const [id, { attemptId, fence }] = await s.completed(bytes)
        same((await s.purge(id, attemptId)).kind, 'purged', 'the purge')
        same(await s.state(id), 'absent', 'the record')
        same((await s.body(id, attemptId)).length, 0, 'its bytes')
        same((await s.purge(id, attemptId)).kind, 'absent', 'the purge again')
        const anew = await s.granted(id)
        same([anew.attempt, anew.bodyLength], [1, 0], 'the claim after it')
        holds(anew.fence > fence, 'the fence is above the purged one')
      }
    },
  },
  {
    name: 'S20 I9 also with a wall clock that steps back',
    async run(s) {
      const [id, { attemptId, fence }] = await s.completed(bytesOf(1))
      await s.purge(id, attemptId)
      await s.stepWall(-day)
      holds((await s.granted(id)).fence > fence, 'the fence is above the purged one')
    },
  },
  {
    name: 'S20 released and unknown records are purged too; what runs, and what is another attempt’s, is refused',
    async run(s) {
      const released = s.id()
      const first = await s.granted(released)
      same((await s.purge(released, first.attemptId)).kind, 'refused', 'the purge of what runs')
      await s.settled(released, first.attemptId, { kind: 'released', retryAfterMs: 0, digest: 'r' })
      same((await s.purge(released, s.attempt())).kind, 'refused', 'the purge in another name')
      same(await s.state(released), 'released', 'the record')
      same((await s.purge(released, first.attemptId)).kind, 'purged', 'the purge')
      const unknown = s.id()
      const { attemptId } = await s.granted(unknown, { onAbandoned: 'unknown' })
      await s.settled(unknown, attemptId, { kind: 'dispatched' })
      await s.settled(unknown, attemptId, { kind: 'unknown', digest: 'u' })
      same((await s.purge(unknown, attemptId)).kind, 'purged', 'the purge of what is unknown')
      same([await s.state(released), await s.state(unknown)], ['absent', 'absent'], 'the records')
    },
  },
]
