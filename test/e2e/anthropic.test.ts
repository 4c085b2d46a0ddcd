/** `@anthropic-ai/sdk`, unmodified. */
import { anthropic } from './sdk.ts'
import { limitOfKeyless, suite } from './suite.ts'

suite('@anthropic-ai/sdk', async () => anthropic, ['plain', 'stream'])
limitOfKeyless('@anthropic-ai/sdk', async () => anthropic)
