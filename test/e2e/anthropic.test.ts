/** `@anthropic-ai/sdk`, unmodified. */
import { clientSuite } from './clients.ts'
import { roster } from './roster.ts'
import { anthropic } from './sdk.ts'
import { limitOfKeyless, suite } from './suite.ts'

suite('@anthropic-ai/sdk', async () => anthropic, ['plain', 'stream'])
limitOfKeyless('@anthropic-ai/sdk', async () => anthropic)
clientSuite(roster.anthropic, async () => anthropic.ask)
