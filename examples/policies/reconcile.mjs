// onAbandoned: 'reconcile' – once, where the provider can be asked. After a crash the next caller looks first.
import { here, provider, show } from './stage.mjs'

await show(import.meta.url, 'reconcile', async (attempt) => {
  here('before dispatch')
  if (attempt.recovering && (await provider.has('batch'))) return 'receipt for batch'
  here('after dispatch')
  const receipt = await provider.pay('batch')
  here('after the effect')
  return receipt
})
