/** The reducer, searched exhaustively: no interleaving breaks an invariant, and every broken guard is found. */
import { describe, expect, test } from 'vitest'
import * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import { mutants } from './mutants.ts'
import { search } from './search.ts'
import type { Setting } from './world.ts'

const settings: Readonly<Record<string, Setting>> = {
  'all under unknown': { owners: 'unknown', waiter: 'unknown' },
  'all under reexecute': { owners: 'reexecute', waiter: 'reexecute' },
  'owners under unknown, a waiter that asks for reexecute': { owners: 'unknown', waiter: 'reexecute' },
}

describe('two owners, a waiter, a sweeper, lost answers, crashes, clock jumps, a purge and a zombie', () => {
  for (const [name, setting] of Object.entries(settings)) {
    test(`no interleaving breaks I1–I7, I9, I10 or I12: ${name}`, { timeout: 600_000 }, () => {
      const { states, complete, depth, violation } = search(reducer, setting, Number.POSITIVE_INFINITY)
      console.log(`${name}: ${states} states to depth ${depth}`)
      expect(violation).toBeUndefined()
      expect(complete).toBe(true)
      expect(states).toBeGreaterThanOrEqual(100_000)
    })
  }
})

describe('a guard that is left out', () => {
  test('there are at least 12 mutants', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(12)
  })
  for (const { name, invariant, rules, setting } of mutants) {
    test(`${name} breaks ${invariant}`, { timeout: 600_000 }, () => {
      const { states, depth, violation } = search({ ...reducer, ...rules }, setting, 2_000_000)
      console.log(
        `${name}: found in ${states} states at depth ${depth}: ${violation?.message}\n  ${violation?.trace.join(' → ')}`,
      )
      expect(violation?.message).toContain(invariant)
    })
  }
})
