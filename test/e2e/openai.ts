/**
 * What a user of the `openai` SDK does, for whichever major version it is handed. Runs in the test process (openai 6)
 * and on Node 22 (openai 7, openai7.mjs), so it imports types only.
 */
import type OpenAI from 'openai'
import type { toFile } from 'openai'
import type { Ask, Told } from './sdk.ts'

type Made = typeof OpenAI

/** Makes one call as the ask says; resolves also where the SDK throws. */
export async function perform(Client: Made, file: typeof toFile, ask: Ask): Promise<Told> {
  const client = new Client({ apiKey: 'sk-test', baseURL: `${ask.baseURL}/v1` })
  const options = {
    headers: { ...(ask.key === undefined ? {} : { 'Idempotency-Key': ask.key }), ...ask.headers },
    ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }),
    ...(ask.retries === undefined ? {} : { maxRetries: ask.retries }),
  }
  const told: Told = { text: '', how: null, replayed: null }
  try {
    const call = calls[ask.kind]
    if (call === undefined) throw new Error(`openai has no ${ask.kind}`)
    await call(client, ask, options, told, file)
  } catch (error) {
    const { name, status, code, message } = error as Error & { status?: number; code?: string | null }
    told.error = { name, message, ...(status === undefined ? {} : { status }), ...(code == null ? {} : { code }) }
  }
  return told
}

type Options = NonNullable<Parameters<OpenAI['embeddings']['create']>[1]>
type Do = (client: OpenAI, ask: Ask, options: Options, told: Told, file: typeof toFile) => Promise<void>

const model = 'pretend-1'

function chatOf(ask: Ask): { model: string; messages: { role: 'user'; content: string }[] } {
  return { model, messages: [{ role: 'user', content: ask.prompt }] }
}

function note(told: Told, response: Response): void {
  told.how = response.headers.get('idempotency-status')
  told.replayed = response.headers.get('idempotent-replayed')
}

const plain: Do = async (client, ask, options, told) => {
  const { data, response } = await client.chat.completions.create(chatOf(ask), options).withResponse()
  note(told, response)
  told.text = data.choices[0]?.message.content ?? ''
}

const stream: Do = async (client, ask, options, told) => {
  const asked = client.chat.completions.create({ ...chatOf(ask), stream: true }, options)
  const { data, response } = await asked.withResponse()
  note(told, response)
  for await (const chunk of data) told.text += chunk.choices[0]?.delta.content ?? ''
}

const responses: Do = async (client, ask, options, told) => {
  const { data, response } = await client.responses.create({ model, input: ask.prompt }, options).withResponse()
  note(told, response)
  told.text = data.output_text
}

const responsesStream: Do = async (client, ask, options, told) => {
  const asked = client.responses.create({ model, input: ask.prompt, stream: true }, options)
  const { data, response } = await asked.withResponse()
  note(told, response)
  for await (const event of data) if (event.type === 'response.output_text.delta') told.text += event.delta
}

const embeddings: Do = async (client, ask, options, told) => {
  const { data, response } = await client.embeddings.create({ model, input: ask.prompt }, options).withResponse()
  note(told, response)
  told.text = data.data.map(({ embedding }) => embedding.join(' ')).join('; ')
}

const transcription: Do = async (client, ask, options, told, file) => {
  const sound = await file(new TextEncoder().encode(ask.prompt.repeat(500)), 'sound.mp3', { type: 'audio/mpeg' })
  const { data, response } = await client.audio.transcriptions
    .create({ file: sound, model: 'whisper-1' }, options)
    .withResponse()
  note(told, response)
  told.text = data.text
}

const raw: Do = async (client, ask, options, told) => {
  const response = await client.chat.completions.create(chatOf(ask), options).asResponse()
  note(told, response)
  told.text = Buffer.from(await response.arrayBuffer()).toString('base64')
}

const toolLoop = (ask: Ask, told: Told) => ({
  ...chatOf(ask),
  tools: [
    {
      type: 'function' as const,
      function: {
        name: 'note',
        description: 'Keeps a note.',
        parameters: { type: 'object', properties: { note: { type: 'string' } }, required: ['note'] },
        parse: JSON.parse as (text: string) => { note: string },
        function: ({ note }: { note: string }): string => {
          told.text = `${note}\n`
          return 'kept'
        },
      },
    },
  ],
})

const tools: Do = async (client, ask, options, told) => {
  const last = await client.chat.completions.runTools(toolLoop(ask, told), options).finalContent()
  told.text += last
}

const toolsStream: Do = async (client, ask, options, told) => {
  const run = client.chat.completions.runTools({ ...toolLoop(ask, told), stream: true }, options)
  const last = await run.finalContent()
  told.text += last
}

const batch: Do = async (client, ask, options, told) => {
  const wish = {
    input_file_id: 'file-1',
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    metadata: { wish: ask.prompt },
  } as const
  const { data, response } = await client.batches.create(wish, options).withResponse()
  note(told, response)
  told.text = data.id
}

const file: Do = async (client, ask, options, told, toFile) => {
  const lines = await toFile(new TextEncoder().encode(ask.prompt), 'wishes.jsonl', { type: 'application/jsonl' })
  const { data, response } = await client.files.create({ file: lines, purpose: 'batch' }, options).withResponse()
  note(told, response)
  told.text = data.id
}

const calls: Partial<Record<Ask['kind'], Do>> = {
  plain,
  stream,
  responses,
  responsesStream,
  embeddings,
  transcription,
  raw,
  tools,
  toolsStream,
  batch,
  file,
}
