/** Chaos on every store: kills, pauses, cut cables and a store that dies, judged by the provider's ledger alone. */
import { afterAll, describe, expect, test } from 'vitest'
import { Stage } from '../e2e/harness.ts'
import { chaos } from './chaos.ts'
import { judgeReexecute, judgeUnknown, summary } from './judge.ts'
import { chaosStores } from './stores.ts'

const stage = new Stage()
afterAll(() => stage.close())

/** Repeat a failure with `ONCEKEY_SEED=N npm run test:chaos`; longer: `npm run test:chaos -- --minutes N`. */
const seed = Number(process.env['ONCEKEY_SEED'] ?? 20_261)
const minutes = Number(process.env['ONCEKEY_CHAOS_MINUTES'] ?? 0)
const troubles = 50

describe(`at least ${troubles} troubles at random moments`, { timeout: 300_000 + minutes * 90_000 }, () => {
  for (const [name, open] of Object.entries(chaosStores)) {
    test(`${name}: under unknown no key is paid twice or answered in two ways`, async () => {
      const aftermath = await chaos(stage, await open(stage), { policy: 'unknown', seed, troubles, minutes })
      console.log(summary(name, seed, aftermath))
      judgeUnknown(aftermath)
    })
  }

  test('the control, under reexecute: the ledger sees keys that ran twice, and still no key has two answers', async () => {
    const store = { url: stage.store(), troubles: [] }
    const aftermath = await chaos(stage, store, { policy: 'reexecute', seed, troubles: 20, minutes: 0 })
    const twice = aftermath.ends.filter(({ key }) => aftermath.paid(key) > 1)
    console.log(`seed ${seed}: ${twice.length} of ${aftermath.ends.length} keys ran more than once`)
    expect(twice.length).toBeGreaterThan(0)
    judgeReexecute(aftermath)
  })
})
