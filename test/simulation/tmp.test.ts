import { test } from 'vitest'
import * as reducer from '/work/main/packages/oncekey/src/core/reducer.ts'
import { search } from '/work/main/test/simulation/search.ts'
test('x', {timeout: 400000}, () => { const t=Date.now(); const r = search(reducer, {owners:'unknown',waiter:'unknown'}, 3_000_000); console.log(r, Date.now()-t) })
