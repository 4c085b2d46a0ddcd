// The document pipeline in a process that is killed at the first moment at which none before it was.
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { readDocuments } from '../../examples/document-pipeline/documents.mjs'
import { openParts } from '../../examples/document-pipeline/parts.mjs'
import { indexDocument } from '../../examples/document-pipeline/pipeline.mjs'

const { MOMENTS, DOCUMENTS, ONLY, MODE } = process.env
const died = existsSync(MOMENTS) ? readFileSync(MOMENTS, 'utf8').split('\n').filter(Boolean) : []
const progress = died.filter((moment) => !moment.startsWith('settled')).length

function here(moment) {
  if (died.includes(moment)) return
  appendFileSync(MOMENTS, `${moment}\n`)
  process.kill(process.pid, 'SIGKILL')
  // The signal may take a moment, in which nothing more may happen.
  for (;;);
}

const plainFetch = globalThis.fetch
globalThis.fetch = async (url, init) => {
  const call = createHash('sha256').update(String(init?.body)).digest('hex').slice(0, 8)
  here(`before the call ${call}`)
  const response = await plainFetch(url, init)
  const body = await response.arrayBuffer()
  here(`after the call ${call}`)
  return new Response(body, response)
}

/** Without the library nothing is recorded, and each process begins anew. */
const nothing = {
  run: (_, execute) =>
    execute({ recordId: process.pid, step: (_, work) => work({ recovering: false }), commit: async () => {} }),
  close: async () => {},
}

const engine = {
  leaseMs: 500,
  skewMs: 0,
  // A boundary: what the steps before it made is recorded, and nothing of what follows.
  observer: (event) => event.kind === 'store_called' && event.call === 'settle' && here(`settled at ${progress}`),
}
const parts = await openParts(process.env, engine)
const { vectors, rows } = parts
const watched = {
  ...parts,
  ...(MODE === 'naive' ? { once: nothing } : {}),
  vectors: {
    async upsert(all) {
      here(`before the index of ${all[0].id}`)
      await vectors.upsert(all)
      here(`after the index of ${all[0].id}`)
    },
  },
  rows: {
    write: (attempt, row) => {
      const commit = async (transaction, value) => {
        await attempt.commit(transaction, value)
        here(`before the commit of ${row.name}`)
      }
      here(`before the row of ${row.name}`)
      const watching = Object.create(attempt, { commit: { value: commit } })
      return rows.write(watching, row).then((written) => {
        here(`after the row of ${row.name}`)
        return written
      })
    },
  },
}
const documents = (await readDocuments(DOCUMENTS)).filter(({ name }) => ONLY === undefined || name === ONLY)
for (const document of documents) await indexDocument(watched, document)
console.log(
  JSON.stringify({ pieces: await vectors.all(), rows: await rows.all() }, (key, value) =>
    key === 'vector' ? undefined : value,
  ),
)
await parts.close()
