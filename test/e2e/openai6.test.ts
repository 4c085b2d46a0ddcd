/** `openai` 6, unmodified, on the Node in use. */
import { openai6 } from './sdk.ts'
import { limitOfKeyless, suite } from './suite.ts'

suite('openai 6', async () => openai6, [
  'plain',
  'stream',
  'responses',
  'responsesStream',
  'embeddings',
  'transcription',
])
limitOfKeyless('openai 6', async () => openai6)
