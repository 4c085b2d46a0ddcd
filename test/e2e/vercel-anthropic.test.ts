/** Vercel's `ai` 7 with its Anthropic provider, unmodified, on Node 22. */
import { clientSuite } from './clients.ts'
import { onNode22 } from './node22.ts'
import { roster } from './roster.ts'

clientSuite(roster.vercelAnthropic, async (stage) => {
  const ask = await onNode22(stage, 'vercel.mjs')
  return (asked) => ask({ ...asked, provider: 'anthropic' })
})
