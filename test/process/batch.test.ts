/** `oncekey batch run`, killed at random moments and run again: what the provider was asked for, and how often. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { called, type Program, Stage } from '../e2e/harness.ts'
import { seeded } from '../simulation/simulator.ts'
import { KilledBatch, reportOf } from './batches.ts'
import { sharedStores } from './stores.ts'

const stage = new Stage()
afterAll(() => stage.close())

const seed = Number(process.env['ONCEKEY_SEED'] ?? 20_261_124)
const concurrency = 8
const shared = ['--concurrency', String(concurrency)]
const leases = ['--lease', '500ms', '--skew', '100ms']

/** A provider of its own, for its ledger is the judge. It needs so long for an answer that a kill finds some under way. */
async function provider(latencyMs = 25): Promise<Sandbox> {
  return stage.add(await startSandbox({ latencyMs }))
}

/**
 * Starts and kills so many times, then runs to the end; the moments come from the seed. One in four is counted from the
 * start of the process, the others from its first call.
 */
async function killed(batch: KilledBatch, kills: number, chance: () => number, start: () => Program): Promise<Program> {
  for (let kill = 0; kill < kills; kill++) {
    const program = start()
    if (kill % 4 > 0) await Promise.race([batch.nextCall(), program.exited])
    await Promise.race([sleep(chance() * 500), program.exited])
    await batch.kill(program)
  }
  const last = start()
  await last.exited
  return last
}

function run(batch: KilledBatch, sandbox: Sandbox, store: string, policy: string): () => Program {
  const flags = ['--upstream', sandbox.url, '--store', store, '--on-abandoned', policy, ...shared, ...leases]
  return () => batch.start(flags)
}

describe.each(sharedStores)('over %s', (name, openStore) => {
  const [kills, lines, fewer] = name === 'LMDB' ? [20, 2_500, 10] : [5, 600, 5]
  let freshStore: () => string
  beforeAll(async () => {
    freshStore = await openStore(stage)
  })

  test(`killed ${kills} times under reexecute: every line once, and again at most if it was in flight`, {
    timeout: 180_000,
  }, async () => {
    console.log(`ONCEKEY_SEED=${seed}`)
    const sandbox = await provider()
    const batch = new KilledBatch(stage, sandbox, lines)
    const last = await killed(batch, kills, seeded(seed), run(batch, sandbox, freshStore(), 'reexecute'))
    const report = reportOf(last)
    expect([await last.exited, report['failed'], report['unknown'], report['left']]).toEqual([
      { code: 0, signal: null },
      0,
      0,
      0,
    ])
    expect(batch.results()).toEqual(batch.names)
    expect(batch.paidTooOften()).toEqual([])
    expect(Math.max(...batch.inFlight.map(({ size }) => size))).toBeLessThanOrEqual(concurrency)
    const twice = batch.paidTwice().length
    console.log(`${name}: ${lines} lines, ${kills} kills, ${twice} lines paid twice`)
    expect(twice).toBeLessThanOrEqual(kills * concurrency)
    // Otherwise no kill was of any consequence.
    expect(twice).toBeGreaterThan(kills / 2)
    expect([...batch.paid().values()].filter((count) => count === 0)).toEqual([])
  })

  test(`killed ${fewer} times under unknown: no line twice, and what nobody knows is reported`, {
    timeout: 180_000,
  }, async () => {
    const sandbox = await provider()
    const batch = new KilledBatch(stage, sandbox, fewer * 120)
    const start = run(batch, sandbox, freshStore(), 'unknown')
    const report = reportOf(await killed(batch, fewer, seeded(seed + 1), start))
    expect(batch.paidTwice()).toEqual([])
    expect(report['executed']! + report['replayed']! + report['kept']! + report['unknown']!).toBe(batch.count)
    expect([report['failed'], report['left']]).toEqual([0, 0])
    expect(report['unknown']).toBeLessThanOrEqual(fewer * concurrency)
    expect(report['unknown']).toBeGreaterThan(0)
    const again = start()
    expect((await again.exited).code).toBe(1)
    expect(reportOf(again)).toMatchObject({ executed: 0, unknown: report['unknown'] })
    expect(batch.paidTwice()).toEqual([])
  })
})

describe('what the judge would see without it', () => {
  test('a loop that begins anew pays for everything again', { timeout: 60_000 }, async () => {
    const sandbox = await provider()
    const batch = new KilledBatch(stage, sandbox, 400)
    const first = batch.startNaive('again', concurrency)
    await called(sandbox, 250)
    await batch.kill(first)
    await batch.startNaive('again', concurrency).exited
    expect(batch.paidTooOften().length).toBeGreaterThan(50)
  })

  test('a loop that goes on behind its output pays twice for what was in flight, where `unknown` never does', {
    timeout: 60_000,
  }, async () => {
    const sandbox = await provider(100)
    const batch = new KilledBatch(stage, sandbox, 100)
    const first = batch.startNaive('resume', concurrency)
    await called(sandbox, 20)
    await batch.kill(first)
    await batch.startNaive('resume', concurrency).exited
    expect(batch.paidTwice().length).toBeGreaterThan(0)
  })

  test('a batch whose store and output are gone pays for everything again: it is they who remember', {
    timeout: 60_000,
  }, async () => {
    const sandbox = await provider(5)
    const [one, two] = [new KilledBatch(stage, sandbox, 50), new KilledBatch(stage, sandbox, 50)]
    for (const batch of [one, two]) await run(batch, sandbox, stage.store(), 'unknown')().exited
    expect(one.paidTwice()).toHaveLength(50)
  })
})

test('the report says exactly which calls were made again', { timeout: 60_000 }, async () => {
  const sandbox = await provider(0)
  const batch = new KilledBatch(stage, sandbox, 30)
  const start = run(batch, sandbox, stage.store(), 'reexecute')
  sandbox.plan([...(new Array(10).fill('ok') as string[]), ...(new Array(concurrency).fill('delay=20000') as string[])])
  const first = start()
  await called(sandbox, 10 + concurrency)
  await batch.kill(first)
  const second = start()
  await second.exited
  expect(reportOf(second)).toMatchObject({ executed: 20, takenOver: concurrency, failed: 0 })
  expect(batch.paidTwice()).toHaveLength(concurrency)
  expect(batch.results()).toEqual(batch.names)
})

describe('through a gateway at a URL', () => {
  const gatewayOf = (sandbox: Sandbox, store: string, port = 0) =>
    stage.gateway({ upstream: sandbox.url, store, flags: [...leases, '--port', String(port)] })

  test('killed 6 times: every line once, for the gateway finishes what it has begun', {
    timeout: 120_000,
  }, async () => {
    const sandbox = await provider()
    const batch = new KilledBatch(stage, sandbox, 700)
    const gateway = await gatewayOf(sandbox, stage.store())
    const flags = ['--gateway', gateway.url, ...shared]
    const last = await killed(batch, 6, seeded(seed + 2), () => batch.start(flags))
    expect((await last.exited).code).toBe(0)
    expect(batch.results()).toEqual(batch.names)
    expect(batch.paidTwice()).toEqual([])
  })

  test('the gateway is killed and started again in the middle: the batch waits for it and goes on', {
    timeout: 120_000,
  }, async () => {
    const sandbox = await provider()
    const batch = new KilledBatch(stage, sandbox, 300)
    const store = stage.store()
    let gateway = await gatewayOf(sandbox, store)
    const running = batch.start(['--gateway', gateway.url, ...shared])
    for (let kill = 1; kill <= 2; kill++) {
      await called(sandbox, kill * 80)
      await batch.kill(gateway)
      gateway = await gatewayOf(sandbox, store, gateway.port)
    }
    expect((await running.exited).code).toBe(0)
    expect(reportOf(running)).toMatchObject({ failed: 0, left: 0 })
    expect(batch.results()).toEqual(batch.names)
    expect(batch.paidTooOften()).toEqual([])
  })
})
