// Indexes a folder of documents: `node main.mjs [folder]`. Kill it and start it again as often as you like.
import { fileURLToPath } from 'node:url'
import { readDocuments } from './documents.mjs'
import { openParts } from './parts.mjs'
import { indexDocument } from './pipeline.mjs'

if (process.env.OPENAI_API_KEY === undefined) {
  console.error('Set OPENAI_API_KEY, and OPENAI_BASE_URL to go through a gateway (README.md): nothing was indexed.')
  process.exit(2)
}
const folder = process.argv[2] ?? fileURLToPath(new URL('./documents', import.meta.url))
const parts = await openParts(process.env)
for (const document of await readDocuments(folder)) {
  const { pieces, topic, summary } = await indexDocument(parts, document)
  console.log(`${document.name}: ${pieces} pieces, about ${topic}. ${summary}`)
}
await parts.close()
