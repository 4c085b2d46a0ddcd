/** The soak for a minute with fewer callers than `npm run test:soak`, and the controls of its judge. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { judge, type Sample } from '../../scripts/soak/judge.mjs'

/** Ten minutes of samples; the noise is the same in every run. */
function samples(of: (minute: number) => Partial<Sample>): Sample[] {
  return Array.from({ length: 120 }, (_, at) => {
    const noise = Math.sin(at * 12.9898) * 3
    const steady = { heapMiB: 50 + noise, ownMiB: 150 + noise, handles: 500 + noise, delayMs: 20 + noise }
    return { atMs: at * 5_000, ...steady, ...of(at / 12) }
  })
}

const growing = (list: readonly Sample[]): string[] =>
  judge(list).flatMap(({ measure, flat }) => (flat ? [] : [measure]))

describe('the judge', () => {
  test('calls flat what only trembles, and what shrinks', () => {
    expect(growing(samples(() => ({})))).toEqual([])
    expect(growing(samples((minute) => ({ heapMiB: 80 - minute })))).toEqual([])
  })

  test('does not mind a warm-up', () => {
    expect(growing(samples((minute) => ({ ownMiB: Math.min(150, 60 + minute * 40) })))).toEqual([])
  })

  test.each(['heapMiB', 'ownMiB', 'handles', 'delayMs'] as const)(
    'notices %s that doubles in ten minutes, or the delay that triples',
    (measure) => {
      const from = { heapMiB: 50, ownMiB: 150, handles: 500, delayMs: 40 }[measure]
      expect(
        growing(samples((minute) => ({ [measure]: from * (1 + minute / (measure === 'delayMs' ? 5 : 10)) }))),
      ).toEqual([measure])
    },
  )

  test('does not judge what nobody measured', () => {
    expect(() => judge(samples(() => ({})).slice(0, 5))).toThrow('too few')
    expect(() => judge(samples(() => ({ heapMiB: Number.NaN })))).toThrow('heapMiB was not measured')
  })
})

test('a minute of everything leaves two workers as they were, and the ledger says what the provider charged', {
  timeout: 180_000,
}, async () => {
  const script = fileURLToPath(new URL('../../scripts/soak.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, '--minutes', '1', '--connections', '60'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const [code] = (await once(child, 'close')) as [number]
  expect(said).toContain('soak: flat, and the bill is right')
  expect(code).toBe(0)
})
