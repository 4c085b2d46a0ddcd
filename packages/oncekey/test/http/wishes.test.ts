/** Two wishes that look alike are never merged: random interleavings of callers, hang-ups, retries, failures and time. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type KeylessEntry, keylessStep } from '../../src/core/keyless.ts'
import { type Happening, listsBy, play } from './wishes.ts'
import type { Mend } from './world.ts'

const which = fc.nat(5)
const process = fc.nat(1)
const kind = <K extends string>(name: K) => fc.constant(name)

/** Mostly one tenant with one body: what could be confused. */
const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: kind('wish'),
      tenant: fc.constantFrom(0, 0, 0, 1),
      body: fc.constantFrom(0, 0, 0, 1),
      process,
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: kind('retry'), which, process }) },
  { weight: 4, arbitrary: fc.record({ kind: kind('hangUp'), which }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: kind('answer'), which, status: fc.constantFrom(200, 200, 429, 500) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind('begin'), which }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('finish'), which }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('cut'), which }) },
  { weight: 1, arbitrary: fc.record({ kind: kind('pass'), ms: fc.constantFrom(20_000, 31_000, 590_000) }) },
)

const history = (mend?: Mend) =>
  fc.asyncProperty(fc.array(happening, { minLength: 8, maxLength: 30 }), (all) => play(all, mend))

describe('wishes without keys', () => {
  test('are never merged, and each retry gets the lost attempt that is its own to have', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(history(), { numRuns: 1_500 })
  })

  test('the rule of the lists itself, in the place where the mutants are put', { timeout: 120_000 }, async () => {
    await fc.assert(history(listsBy(keylessStep)), { numRuns: 500 })
  })

  const changed = (list: readonly KeylessEntry[], change: (entry: KeylessEntry) => Partial<KeylessEntry>) =>
    list.map((entry) => ({ ...entry, ...change(entry) }))

  test.each<[string, typeof keylessStep]>([
    [
      'robs a caller that is still there',
      (list, command, now, gone) =>
        keylessStep(command.kind === 'adopt' ? changed(list, () => ({ left: true })) : list, command, now, gone),
    ],
    [
      'gives one lost attempt to every retry',
      (list, command, now, gone) => {
        const step = keylessStep(list, command, now, gone)
        return command.kind === 'adopt' ? { ...step, list } : step
      },
    ],
    [
      'forgets that somebody is there again',
      (list, command, now, gone) => {
        const step = keylessStep(list, command, now, gone)
        const { found } = step.answer
        const open = command.kind === 'adopt' && found !== undefined
        return open ? { ...step, list: changed(step.list, (e) => (e.recordId === found ? { left: true } : {})) } : step
      },
    ],
    [
      'lets an equal count adopt',
      (list, command, now, gone) =>
        keylessStep(list, command.kind === 'adopt' ? { ...command, count: command.count + 1 } : command, now, gone),
    ],
    [
      'hears a caller that has been adopted from',
      (list, command, now, gone) => {
        if (command.kind !== 'leave') return keylessStep(list, command, now, gone)
        const heard = changed(list, (entry) => (entry.recordId === command.recordId ? { left: true } : {}))
        return { list: heard, answer: { found: command.recordId } }
      },
    ],
    [
      'knows no window',
      (list, command, now, gone) => keylessStep(list, command, command.kind === 'adopt' ? 0 : now, gone),
    ],
    [
      'never gives a retry anything',
      (list, command, now, gone) =>
        command.kind === 'adopt' ? { list, answer: { found: undefined } } : keylessStep(list, command, now, gone),
    ],
  ])('a mutant that %s is found', { timeout: 120_000 }, async (_, step) => {
    const found = await fc.check(history(listsBy(step)), { numRuns: 1_500, endOnFailure: true, seed: 7 })
    expect(String(found.errorInstance)).toMatch(/by the model|have one answer/)
  })
})
