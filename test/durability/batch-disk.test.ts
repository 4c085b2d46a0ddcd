/** The disk under a batch's results is full, for real: what is paid stays paid once, and no half line stays in the file. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { startSandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { Stage } from '../e2e/harness.ts'
import { KilledBatch, reportOf } from '../process/batches.ts'

/** Mounting takes root; CI has it. */
const elsewhere = process.env['CI'] === undefined && (process.platform !== 'linux' || process.getuid?.() !== 0)

const stage = new Stage()
afterAll(() => stage.close())

/** A file system of so many KiB, of which so many are taken. */
function smallDisk(sizeKiB: number, takenKiB: number): string {
  const path = mkdtempSync(join(tmpdir(), 'oncekey-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeKiB}k,mode=777`, 'tmpfs', path])
  stage.add({
    close: () => {
      execFileSync('umount', ['-l', path])
      rmSync(path, { recursive: true, force: true })
    },
  })
  writeFileSync(join(path, 'filler'), Buffer.alloc(takenKiB * 1024))
  return path
}

describe.skipIf(elsewhere)('a disk that is full', { timeout: 120_000 }, () => {
  const lines = 200
  // Odd, so that lines end nowhere near the end of a block.
  const answerBytes = 5_003

  test('in the middle of a line: the line is cut off, the run says so, and the next one goes on', async () => {
    const sandbox = stage.add(await startSandbox())
    // Answers overtake each other, so that there is something to put in order.
    sandbox.plan(Array.from({ length: lines * 2 }, (_, at) => `size=${answerBytes}, delay=${(at % 3) * 20}`))
    const batch = new KilledBatch(stage, sandbox, lines)
    // The results are some 1,040 KiB, and to put them in order takes as much again.
    const disk = smallDisk(3_000, 2_500)
    const out = join(disk, 'out.jsonl')
    const flags = [
      '--upstream',
      sandbox.url,
      '--store',
      stage.store(),
      '--out',
      out,
      '--errors',
      `${batch.file}.errors`,
    ]
    const first = batch.start(flags)
    expect(await first.exited).toEqual({ code: 1, signal: null })
    const report = reportOf(first)
    expect(report['stopped']).toContain(`The disk under ${out} is full. Make room and run the command again`)
    expect(report['unwritten']).toBeGreaterThan(0)
    const written = readFileSync(out, 'utf8')
    expect(written.endsWith('\n')).toBe(true)
    expect(written.split('\n').length - 1).toBe((report['executed'] ?? 0) - (report['unwritten'] ?? 0))

    // Room for all results, and none for a second copy of them.
    writeFileSync(join(disk, 'filler'), Buffer.alloc(1_400 * 1024))
    const second = batch.start([...flags, '--concurrency', '50'])
    expect(await second.exited).toEqual({ code: 1, signal: null })
    expect(reportOf(second)).toMatchObject({
      left: 0,
      failed: 0,
      unwritten: 0,
      stopped: expect.stringContaining('.sorting'),
    })
    expect(existsSync(`${out}.sorting`)).toBe(false)
    const unordered = statSync(out).size

    rmSync(join(disk, 'filler'))
    const third = batch.start(flags)
    expect(await third.exited).toEqual({ code: 0, signal: null })
    expect(reportOf(third)).toMatchObject({ kept: lines, executed: 0, replayed: 0 })
    expect(statSync(out).size).toBe(unordered)
    const names = readFileSync(out, 'utf8').split('\n').slice(0, -1)
    expect(names.map((line) => (JSON.parse(line) as { custom_id: string }).custom_id)).toEqual(batch.names)
    expect(batch.paidTwice()).toEqual([])
  })
})
