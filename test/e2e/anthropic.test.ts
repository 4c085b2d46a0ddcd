/** `@anthropic-ai/sdk`, unmodified. */
import { clientSuite } from './clients.ts'
import { anthropic } from './sdk.ts'
import { limitOfKeyless, suite } from './suite.ts'

suite('@anthropic-ai/sdk', async () => anthropic, ['plain', 'stream'])
limitOfKeyless('@anthropic-ai/sdk', async () => anthropic)
clientSuite({
  name: '@anthropic-ai/sdk',
  kinds: ['plain', 'stream', 'tools', 'toolsStream', 'batch', 'file'],
  open: async () => anthropic.ask,
  afterTimeout: 'client',
  afterBreak: 'client',
  declaresRetries: true,
})
