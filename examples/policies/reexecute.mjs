// onAbandoned: 'reexecute' – at least once. After a crash the next caller executes, perhaps a second time.
import { here, provider, show } from './stage.mjs'

await show(import.meta.url, 'reexecute', async () => {
  here('before dispatch')
  here('after dispatch')
  const receipt = await provider.pay('answer')
  here('after the effect')
  return receipt
})
