/** LangChain's chat model of Anthropic, unmodified, on Node 22. */
import { clientSuite } from './clients.ts'
import { onNode22 } from './node22.ts'
import { roster } from './roster.ts'

clientSuite(roster.langchainAnthropic, async (stage) => {
  const ask = await onNode22(stage, 'langchain.mjs')
  return (asked) => ask({ ...asked, provider: 'anthropic' })
})
