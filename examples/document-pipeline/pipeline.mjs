// One document: split, embed, index, summarise, classify, and write the row. Every paid call is a step with a name.
import { split } from './documents.mjs'

const embeddingModel = process.env.EMBEDDING_MODEL ?? 'text-embedding-3-small'
const model = process.env.MODEL ?? 'gpt-4o-mini'

/**
 * Indexes a document once, however often it is asked for and whatever dies in between. `parts` are `once` (an engine under
 * `resume`), `openai` (its client), `vectors` and `rows` (where it is written to).
 */
export function indexDocument({ once, openai, vectors, rows }, document) {
  const operation = { scope: 'index', key: document.name, input: document.digest }
  return once.run(operation, async (attempt) => {
    // The same key in every attempt: a gateway in between gives back what a process that died had already paid for.
    const keyed = (name) => ({ headers: { 'Idempotency-Key': `"${attempt.recordId}/${name}"` } })
    const ask = (name, question) =>
      attempt.step(name, () => complete(openai, `${question}\n\n${document.text}`, keyed(name)), { input: question })

    const pieces = split(document.text)
    const embeddings = await Promise.all(
      pieces.map((text, at) =>
        attempt.step(`embed-${at}`, () => embed(openai, text, keyed(`embed-${at}`)), { input: text }),
      ),
    )
    // Written under the piece's own id, so that a step that runs again replaces what it wrote and adds nothing.
    await attempt.step('index', () =>
      vectors.upsert(pieces.map((text, at) => ({ id: `${document.name}#${at}`, text, vector: embeddings[at] }))),
    )
    const summary = await ask('summarise', 'Summarise this document in one sentence.')
    const topic = await ask('classify', 'What is this document about? Answer with one word.')
    const row = { name: document.name, digest: document.digest, pieces: pieces.length, summary, topic }
    return rows.write(attempt, row)
  })
}

async function embed(openai, input, options) {
  const { data } = await openai.embeddings.create({ model: embeddingModel, input }, options)
  return data[0].embedding
}

async function complete(openai, content, options) {
  const { choices } = await openai.chat.completions.create({ model, messages: [{ role: 'user', content }] }, options)
  return choices[0].message.content
}
