/** `openai` 7, unmodified, on Node 22. */
import { openai7 } from './sdk.ts'
import { suite } from './suite.ts'

suite('openai 7 on Node 22', openai7, [
  'plain',
  'stream',
  'responses',
  'responsesStream',
  'embeddings',
  'transcription',
])
