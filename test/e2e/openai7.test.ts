/** `openai` 7, unmodified, on Node 22. */
import { clientSuite } from './clients.ts'
import { roster } from './roster.ts'
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
clientSuite(roster.openai7, async (stage) => (await openai7(stage)).ask)
