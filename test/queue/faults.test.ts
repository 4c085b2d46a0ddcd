/** Consumers of real queues that are killed, frozen and cut off, and producers that send twice: what the provider was paid. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../packages/oncekey/test/queue/until.ts'
import { brokers, type TestBroker, type TestQueue } from './brokers.ts'
import { Process } from './processes.ts'
import { type Provider, startProvider } from './provider.ts'

/** Longer than a process stands still when all cores are busy with others; the heartbeat of RabbitMQ is a whole second. */
const leaseMs = 900
const visibilityMs = 1_200
const times = { leaseMs, visibilityMs, skewMs: 100, backoffMs: 50 }

const folder = mkdtempSync(join(tmpdir(), 'oncekey-queue-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let stores = 0

/** What is parked, once it is that many; a verdict is heard of before the broker has carried it out. */
async function parkedIn(queue: TestQueue, count: number): Promise<string[]> {
  let texts: string[] = []
  await until(`${count} parked`, async () => {
    texts = await queue.parked()
    return texts.length === count
  })
  return texts
}

// Side by side, for they mostly wait; each one test after the other, for its provider's ledger is one test's.
describe.concurrent.each(brokers)('%s', (kind, start) => {
  let provider: Provider
  const processes: Process[] = []
  beforeEach(async () => {
    provider = await startProvider()
  })
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((one) => one.end()))
    await provider.close()
  })
  let broker: TestBroker
  beforeAll(async () => {
    broker = await start()
  }, 60_000)
  afterAll(() => broker.stop())

  /** Consumers that share a store. */
  function consumers(onAbandoned = 'unknown'): (queues: readonly TestQueue[], more?: object) => Process {
    const store = join(folder, `store${stores++}`)
    return (queues, more = {}) => {
      const own = { broker: broker.name, url: broker.server.url, queues: queues.map(({ name }) => name) }
      const one = new Process({ ...own, store, provider: provider.url, onAbandoned, ...times, ...more })
      processes.push(one)
      return one
    }
  }

  const payments = (id: string): number => provider.paid.get(id) ?? 0

  /** A process for each point, which dies there of kill -9; then one that takes what they left behind. */
  async function killedAt(
    points: readonly string[],
    onAbandoned: string,
  ): Promise<[queues: TestQueue[], heir: Process]> {
    const consume = consumers(onAbandoned)
    const queues = await Promise.all(points.map(() => broker.queue(visibilityMs)))
    const doomed = points.map((die, at) => consume([queues[at] as TestQueue], { die }))
    await Promise.all(queues.map((queue, at) => queue.send([points[at] as string])))
    await Promise.all(doomed.map(({ ended }) => ended))
    return [queues, await consume(queues).ready()]
  }

  test.sequential('a consumer that is killed pays once or not at all; what nobody can tell is parked with its record id', async () => {
    const [queues, heir] = await killedAt(['before', 'during', 'after', 'settled'], 'unknown')
    await until('the end of all', () => heir.verdicts('acknowledge').length + heir.verdicts('park').length === 4)
    expect([...provider.paid].sort()).toEqual([
      ['after', 1],
      ['before', 1],
      ['during', 1],
      ['settled', 1],
    ])
    for (const [at, count] of [0, 1, 1, 0].entries()) {
      const texts = await parkedIn(queues[at] as TestQueue, count)
      for (const text of texts) expect(text).toMatch(/outcome_unknown[\s\S]*[\w-]{43}/)
    }
  })

  test.sequential('the control, under reexecute: one that died after the effect pays again, one that had settled does not', async () => {
    const [, heir] = await killedAt(['after', 'settled'], 'reexecute')
    await until('the end of both', () => heir.verdicts('acknowledge').length === 2)
    expect([payments('after'), payments('settled')]).toEqual([2, 1])
  })

  test.sequential('the control, without Oncekey: a kill before the acknowledgement pays twice, and so does a second send', async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    const doomed = consume([queue], { naive: true, die: 'acknowledge' })
    await queue.send(['killed'])
    await doomed.ended
    await consume([queue], { naive: true }).ready()
    await queue.send(['twice', 'twice'])
    await until('the second payments', () => payments('killed') === 2 && payments('twice') === 2)
  })

  test.sequential('a message that is sent again, while its original executes and after its end, is paid once', async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    const both = [consume([queue]), consume([queue])]
    await Promise.all(both.map((one) => one.ready()))
    const count = (kind: string): number => both.reduce((sum, one) => sum + one.verdicts(kind).length, 0)
    provider.hold()
    await queue.send(['one', 'one'])
    await until('the give-back', () => payments('one') === 1 && count('give_back') > 0)
    provider.release()
    await queue.send(['one'])
    await until('three acknowledgements', () => count('acknowledge') === 3)
    expect([payments('one'), count('park')]).toEqual([1, 0])
  })

  test.sequential('one that stands still past lease and visibility is not paid again, and its late outcome stands', async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    const frozen = await consume([queue]).ready()
    provider.hold()
    await queue.send(['one'])
    await until('the call', () => payments('one') === 1)
    frozen.signal('SIGSTOP')
    provider.release()
    const other = await consume([queue]).ready()
    await until('the parking by the other', () => other.verdicts('park').length === 1)
    frozen.signal('SIGCONT')
    await until('the outcome of the late one', () => frozen.verdicts('acknowledge').length === 1)
    await queue.send(['one'])
    const acknowledged = (): number => [frozen, other].reduce((sum, one) => sum + one.verdicts('acknowledge').length, 0)
    await until('the acknowledgement of the second', () => acknowledged() === 2)
    expect(payments('one')).toBe(1)
  })

  test.sequential('the control, without Oncekey: the one that stands still is paid again', async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    const frozen = await consume([queue], { naive: true }).ready()
    provider.hold()
    await queue.send(['one'])
    await until('the call', () => payments('one') === 1)
    frozen.signal('SIGSTOP')
    provider.release()
    await consume([queue], { naive: true }).ready()
    await until('the second payment', () => payments('one') === 2)
  })

  test.sequential('a message that kills every consumer before its effect is parked after its attempts', async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    await queue.send(['poison'])
    for (let deaths = 1; deaths <= 3; deaths++) await consume([queue], { die: 'before', attempts: 3 }).ended
    const last = await consume([queue], { die: 'before', attempts: 3 }).ready()
    await until('the parking', () => last.verdicts('park').length === 1)
    expect((await parkedIn(queue, 1))[0]).toMatch(/attempts_exhausted|consumers_died/)
    expect(provider.total).toBe(0)
  })

  // NATS counts give-backs as deliveries, so it cannot tell these deaths apart (docs/guide/queues.md).
  const countsDeaths = kind !== 'NATS JetStream'
  const fate = countsDeaths ? 'parked, by the count of the broker' : 'paid once, by the first that lives'
  test.sequential(`a message that kills consumers before its claim is ${fate}`, async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    await queue.send(['poison'])
    for (let deaths = 1; deaths <= 2; deaths++) await consume([queue], { die: 'unclaimed', attempts: 2 }).ended
    const last = await consume([queue], { attempts: 2 }).ready()
    await until('the end', () => last.verdicts('park').length + last.verdicts('acknowledge').length === 1)
    if (countsDeaths) expect((await parkedIn(queue, 1))[0]).toMatch(/consumers_died/)
    expect(payments('poison')).toBe(countsDeaths ? 0 : 1)
  })

  test.sequential('a broker that is killed in the middle and comes back loses nothing, and nothing is paid twice', async () => {
    const consume = consumers()
    const queue = await broker.queue(visibilityMs)
    const ids = Array.from({ length: 12 }, (_, at) => `m${at}`)
    const one = await consume([queue], { concurrency: 4 }).ready()
    provider.hold()
    await queue.send(ids)
    await until('four calls', () => provider.total === 4)
    await broker.server.kill()
    provider.release()
    await broker.server.start()
    await until('all payments', () => provider.paid.size === ids.length, 25_000)
    await until('as many acknowledgements', () => one.verdicts('acknowledge').length >= ids.length, 25_000)
    expect([...provider.paid.values()]).toEqual(ids.map(() => 1))
    expect(one.verdicts('park')).toEqual([])
    await one.end('SIGTERM')
  }, 60_000)
})
