/** The engine over a store model: thousands of seeds with every fault at once, judged by the effects. */
import { describe, expect, test } from 'vitest'
import * as reducer from '../../packages/oncekey/src/core/reducer.ts'
import { mutants } from './mutants.ts'
import { play } from './scenario.ts'

/** One seed alone: `ONCEKEY_SEED=4711 npx vitest run test/simulation/seeds.test.ts`. */
const only = process.env['ONCEKEY_SEED']
const seeds = only === undefined ? Array.from({ length: 5_000 }, (_, seed) => seed + 1) : [Number(only)]

/** Nothing is appended here and ids are random here: the exhaustive search (search.test.ts) finds these. */
const elsewhere: ReadonlySet<string> = new Set([
  'append does not compare the attemptId',
  'an outcome is sealed without looking at its length',
  'a new attempt keeps the former one’s bytes',
  'attempt ids count from the record, so two owners share one across a purge',
])

describe('the engine', () => {
  test(`breaks no invariant over ${seeds.length} seeds`, { timeout: 600_000 }, async () => {
    let effects = 0
    for (const seed of seeds) {
      const story = await play(seed, reducer)
      effects += story.effects
      if (story.broken.length > 0 || only !== undefined) console.log(story.trace.join('\n'))
      const repeat = `ONCEKEY_SEED=${seed} npx vitest run test/simulation/seeds.test.ts`
      expect(story.broken, `seed ${seed}; repeat it with: ${repeat}`).toEqual([])
    }
    expect(effects).toBeGreaterThan(seeds.length)
  })

  test('tells the same story of a seed twice', async () => {
    expect((await play(4711, reducer)).trace).toEqual((await play(4711, reducer)).trace)
  })
})

describe('a store whose guard is left out', () => {
  for (const { name, rules } of mutants.filter((mutant) => !elsewhere.has(mutant.name))) {
    test(`is found: ${name}`, { timeout: 600_000 }, async () => {
      const stories: string[] = []
      for (let seed = 1; seed <= seeds.length && stories.length === 0; seed++) {
        const { broken } = await play(seed, { ...reducer, ...rules })
        if (broken.length > 0) stories.push(`seed ${seed}: ${broken[0]}`)
      }
      console.log(`${name}: ${stories[0] ?? 'not found'}`)
      expect(stories).not.toEqual([])
    })
  }
})
