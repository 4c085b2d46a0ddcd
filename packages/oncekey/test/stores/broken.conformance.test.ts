/** The suite can fail: for every sentence of the contract, a store that breaks it fails a test of that number. */
import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory.ts'
import { manualClock, storeConformance } from '../../src/testing/index.ts'
import { defects, type Surroundings } from './defects.ts'

/** Runs the suite over a memory store that `breaks` has wrapped, and answers the names of the tests that failed. */
async function failures(breaks: (surroundings: Surroundings) => Surroundings['store']): Promise<string[]> {
  const tests: { name: string; run: () => Promise<void> }[] = []
  const damaged = new Set<string>()
  const runner = { test: (name: string, run: () => Promise<void>) => void tests.push({ name, run }) }
  storeConformance(runner, {
    open: () => {
      damaged.clear()
      const clock = manualClock()
      const surroundings = { store: memoryStore(clock), clock, damaged }
      return {
        store: breaks(surroundings),
        advance: (ms) => clock.advance(ms),
        stepWall: (ms) => clock.stepWall(ms),
        close: async () => {},
      }
    },
    damage: async (_, recordId) => void damaged.add(recordId),
  })
  expect(tests.length).toBeGreaterThan(50)
  const failed: string[] = []
  for (const { name, run } of tests) {
    try {
      await run()
    } catch {
      failed.push(name)
    }
  }
  return failed
}

describe('the conformance suite', () => {
  test('passes a store that keeps the contract', async () => {
    expect(await failures(({ store, damaged }) => defects.none(store, damaged))).toEqual([])
  })

  test('has a broken store for each of S1 to S23', () => {
    expect(Object.keys(defects.clauses)).toEqual(Array.from({ length: 23 }, (_, at) => `S${at + 1}`))
  })

  for (const [clause, variants] of Object.entries(defects.clauses)) {
    for (const [defect, breaks] of Object.entries(variants)) {
      test(`${clause} is failed by a store that ${defect}`, async () => {
        const failed = await failures((surroundings) =>
          breaks({ ...surroundings, store: defects.none(surroundings.store, surroundings.damaged) }),
        )
        expect(failed.filter((name) => name.startsWith(`${clause} `))).not.toEqual([])
      })
    }
  }
})
