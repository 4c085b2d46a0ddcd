/** Vercel's `ai` 7 with its OpenAI provider, unmodified, on Node 22. */
import { clientSuite } from './clients.ts'
import { onNode22 } from './node22.ts'
import { roster } from './roster.ts'

clientSuite(roster.vercelOpenAI, async (stage) => {
  const ask = await onNode22(stage, 'vercel.mjs')
  return (asked) => ask({ ...asked, provider: 'openai' })
})
