// onAbandoned: 'unknown' – at most once. After a crash that may have paid, nobody pays until somebody has looked.
import { here, provider, show } from './stage.mjs'

await show(import.meta.url, 'unknown', async (attempt) => {
  here('before dispatch')
  await attempt.dispatching()
  here('after dispatch')
  const receipt = await provider.pay('charge')
  here('after the effect')
  return receipt
})
