/** What a user of `@anthropic-ai/sdk` does. */
import Anthropic, { toFile } from '@anthropic-ai/sdk'
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema'
import type { Ask, Kind, Told } from './sdk.ts'
import { tell } from './told.ts'

/** Makes one call as the ask says; resolves also where the SDK throws. */
export function askAnthropic(ask: Ask): Promise<Told> {
  const client = new Anthropic({ apiKey: 'sk-ant-test', baseURL: ask.baseURL })
  const options = {
    headers: { ...(ask.key === undefined ? {} : { 'Idempotency-Key': ask.key }), ...ask.headers },
    ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }),
    ...(ask.retries === undefined ? {} : { maxRetries: ask.retries }),
  }
  return tell(async (told) => {
    const call = calls[ask.kind]
    if (call === undefined) throw new Error(`Anthropic has no ${ask.kind}`)
    await call(client, ask, options, told)
  })
}

/** The request of a plain call. */
export function messageOf(prompt: string): Anthropic.MessageCreateParamsNonStreaming {
  return { model: 'pretend-1', max_tokens: 64, messages: [{ role: 'user', content: prompt }] }
}

type Options = NonNullable<Parameters<Anthropic['messages']['create']>[1]>
type Do = (client: Anthropic, ask: Ask, options: Options, told: Told) => Promise<void>

function note(told: Told, { headers }: Response): void {
  told.how = headers.get('idempotency-status')
  told.replayed = headers.get('idempotent-replayed')
}

const plain: Do = async (client, ask, options, told) => {
  const { data, response } = await client.messages.create(messageOf(ask.prompt), options).withResponse()
  note(told, response)
  told.text = data.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
}

const stream: Do = async (client, ask, options, told) => {
  const asked = client.messages.create({ ...messageOf(ask.prompt), stream: true }, options)
  const { data, response } = await asked.withResponse()
  note(told, response)
  for await (const event of data)
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') told.text += event.delta.text
}

const raw: Do = async (client, ask, options, told) => {
  const response = await client.messages.create(messageOf(ask.prompt), options).asResponse()
  note(told, response)
  told.text = Buffer.from(await response.arrayBuffer()).toString('base64')
}

const toolLoop = (ask: Ask, told: Told) => ({
  ...messageOf(ask.prompt),
  tools: [
    betaTool({
      name: 'note',
      description: 'Keeps a note.',
      inputSchema: { type: 'object', properties: { note: { type: 'string' } }, required: ['note'] },
      run: ({ note }) => {
        told.text = `${note}\n`
        return 'kept'
      },
    }),
  ],
})

const tools: Do = async (client, ask, { headers }, told) => {
  const run = client.beta.messages.toolRunner(toolLoop(ask, told), { ...(headers ? { headers } : {}) })
  const last = await run.runUntilDone()
  told.text += last.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
}

const toolsStream: Do = async (client, ask, { headers }, told) => {
  const loop = { ...toolLoop(ask, told), stream: true } as const
  for await (const turn of client.beta.messages.toolRunner(loop, { ...(headers ? { headers } : {}) }))
    for await (const event of turn)
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') told.text += event.delta.text
}

const batch: Do = async (client, ask, options, told) => {
  const requests = [{ custom_id: 'one', params: messageOf(ask.prompt) }]
  const { data, response } = await client.messages.batches.create({ requests }, options).withResponse()
  note(told, response)
  told.text = data.id
}

const file: Do = async (client, ask, options, told) => {
  const text = await toFile(new TextEncoder().encode(ask.prompt), 'wish.txt', { type: 'text/plain' })
  const { data, response } = await client.beta.files.upload({ file: text }, options).withResponse()
  note(told, response)
  told.text = data.id
}

const calls: Partial<Record<Kind, Do>> = { plain, stream, raw, tools, toolsStream, batch, file }
