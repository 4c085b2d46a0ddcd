/** A batch takes the same memory however many lines it has: a line costs some 60 bytes, not its answer. */
import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { type Program, Stage } from '../e2e/harness.ts'
import { KilledBatch, reportOf } from './batches.ts'

const stage = new Stage()
afterAll(() => stage.close())

const few = 2_000
const many = 20_000
const answerBytes = 6_000
/** Of the growth between few and many lines, whose answers alone are 103 MiB. The rest is the garbage of the moment. */
const boundMiB = 40

/** The most memory of its own that a program has at any time, MiB. Pages of the store's file are the system's. */
async function peakMiB(program: Program): Promise<number> {
  let peak = 0
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${program.pid}/status`, 'utf8')
      peak = Math.max(peak, Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024)
    } catch {
      // It has ended.
    }
  }, 25)
  await program.exited
  clearInterval(timer)
  return peak
}

async function sandboxOf(lines: number): Promise<Sandbox> {
  const sandbox = stage.add(await startSandbox())
  sandbox.plan(new Array(lines).fill(`size=${answerBytes}`) as string[])
  return sandbox
}

async function batchOf(lines: number): Promise<number> {
  const sandbox = await sandboxOf(lines)
  const batch = new KilledBatch(stage, sandbox, lines)
  const running = batch.start(['--upstream', sandbox.url, '--store', stage.store(), '--concurrency', '32'])
  const peak = await peakMiB(running)
  expect(reportOf(running)).toMatchObject({ executed: lines, failed: 0, left: 0 })
  expect(batch.results()).toEqual(batch.names)
  return peak
}

async function naiveOf(lines: number): Promise<number> {
  const sandbox = await sandboxOf(lines)
  return peakMiB(new KilledBatch(stage, sandbox, lines).startNaive('memory', 32))
}

test(`${many} lines in input order take no more than ${few}, give or take`, { timeout: 240_000 }, async () => {
  const small = await batchOf(few)
  const large = await batchOf(many)
  console.log(`own memory: ${small.toFixed(0)} MiB for ${few} lines, ${large.toFixed(0)} MiB for ${many}`)
  expect(large - small).toBeLessThan(boundMiB)
})

test('a loop that holds its results does not', { timeout: 240_000 }, async () => {
  const small = await naiveOf(few)
  const large = await naiveOf(many)
  console.log(`a loop's own memory: ${small.toFixed(0)} MiB for ${few} lines, ${large.toFixed(0)} MiB for ${many}`)
  expect(large - small).toBeGreaterThan(boundMiB)
})
