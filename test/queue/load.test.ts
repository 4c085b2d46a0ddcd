/** 10,000 messages, 3,000 of them sent a second time, two consumer processes and ten kills: each effect once, by the provider's ledger. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { until } from '../../packages/oncekey/test/queue/until.ts'
import { brokers, type TestBroker, type TestQueue } from './brokers.ts'
import { Process } from './processes.ts'
import { type Provider, startProvider } from './provider.ts'

const messages = 10_000
const kills = 10
/**
 * `reconcile` asks whether the one before has paid. One that stands still for a whole lease between his claim and his call would
 * not have, and pays later: so the lease is longer than that happens to a process here, where more run than there are cores.
 */
const leaseMs = 2_000
const skewMs = 300
const visibilityMs = 2_500

const folder = mkdtempSync(join(tmpdir(), 'oncekey-load-'))
const cleanups: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })]
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** Every id, with three of ten a second time some way behind. */
function withDuplicates(count: number): string[] {
  const ids = Array.from({ length: count }, (_, at) => `m${at}`)
  return ids.flatMap((id, at) => (at % 10 < 3 && at >= 100 ? [id, `m${at - 100}`] : [id]))
}

/** Every message has been acknowledged, and none is left; of RabbitMQ's delayed ones it is only heard that they come no more. */
async function drained(all: readonly Process[], count: number, broker: TestBroker, queue: TestQueue): Promise<boolean> {
  const acknowledged = all.reduce((sum, one) => sum + one.verdicts('acknowledge').length, 0)
  if (acknowledged < count) return false
  const quietMs = performance.now() - Math.max(...all.map(({ lastMs }) => lastMs))
  if (broker.name === 'rabbitmq' && quietMs < 1.3 * (leaseMs + skewMs)) return false
  return (await queue.left()) === 0
}

/** Consumers until `done`, of whom one is killed whenever another share of the payments is made. */
async function consumed(
  options: object,
  provider: Provider,
  times: { readonly kills: number; readonly every: number },
  done: (all: readonly Process[]) => boolean | Promise<boolean>,
): Promise<Process[]> {
  const all: Process[] = []
  const start = (): Process => {
    const one = new Process(options)
    all.push(one)
    return one
  }
  const running = [await start().ready(), await start().ready()]
  cleanups.push(() => Promise.all(all.map((one) => one.end())))
  for (let killed = 0; killed < times.kills; killed++) {
    await until(`payment ${(killed + 1) * times.every}`, () => provider.total >= (killed + 1) * times.every, 60_000)
    const [victim] = running.splice(0, 1)
    await victim?.end()
    running.push(start())
  }
  await until('the end', () => done(all), 60_000)
  await Promise.all(running.map((one) => one.end('SIGTERM')))
  return all
}

describe.each(brokers)('%s', (_, start) => {
  let broker: TestBroker
  let queue: TestQueue
  let provider: Provider

  const options = (more: object = {}): object => ({
    broker: broker.name,
    url: broker.server.url,
    queues: [queue.name],
    store: join(folder, queue.name),
    provider: provider.url,
    ...{ leaseMs, skewMs, visibilityMs },
    concurrency: 50,
    ...more,
  })

  test('10,000 messages, 3,000 of them twice, and ten kills: each is paid once, and nothing is parked', async () => {
    ;[broker, provider] = await Promise.all([start(), startProvider()])
    cleanups.push(
      () => broker.stop(),
      () => provider.close(),
    )
    queue = await broker.queue(visibilityMs)
    const ids = withDuplicates(messages)
    expect(ids.length).toBeGreaterThanOrEqual(messages * 1.29)
    await queue.send(ids)
    const times = { kills, every: messages / (kills + 3) }
    const all = await consumed(options({ onAbandoned: 'reconcile' }), provider, times, (so) =>
      drained(so, ids.length, broker, queue),
    )
    const parked = all.flatMap((one) => one.verdicts('park'))
    expect([provider.paid.size, provider.total, parked]).toEqual([messages, messages, []])
    expect(await queue.left()).toBe(0)
  }, 120_000)

  test('the control, a tenth of it without Oncekey: duplicates are paid again', async () => {
    provider = await startProvider()
    cleanups.push(() => provider.close())
    queue = await broker.queue(visibilityMs)
    const ids = withDuplicates(messages / 10)
    await queue.send(ids)
    await consumed(options({ naive: true }), provider, { kills: 1, every: 500 }, () => provider.total >= ids.length)
    expect(provider.total - provider.paid.size).toBeGreaterThanOrEqual(250)
  }, 60_000)
})
