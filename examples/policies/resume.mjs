// onAbandoned: 'resume' – at least once a step. After a crash the next caller has all that was recorded, and runs the rest.
import { here, provider, show } from './stage.mjs'

await show(import.meta.url, 'resume', async (attempt) => {
  here('before dispatch')
  await attempt.step('embed', () => provider.pay('embedding'))
  return attempt.step('summarise', async () => {
    here('after dispatch')
    const summary = await provider.pay('summary')
    here('after the effect')
    return summary
  })
})
