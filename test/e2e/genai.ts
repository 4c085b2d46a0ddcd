/** What a user of `@google/genai` does. Runs on Node 22 (genai.mjs). */
import { type CallableTool, type GenerateContentParameters, GoogleGenAI, Type } from '@google/genai'
import type { Ask, Told } from './sdk.ts'
import { tell } from './told.ts'

/** Makes one call as the ask says; resolves also where the client throws. */
export function perform(ask: Ask): Promise<Told> {
  const client = new GoogleGenAI({
    apiKey: 'test',
    // Without `retryOptions` it never tries again.
    httpOptions: { baseUrl: ask.baseURL, retryOptions: { attempts: (ask.retries ?? 2) + 1, initialDelay: 0.2 } },
  })
  return tell((told) => call(client, ask, told))
}

async function call(client: GoogleGenAI, ask: Ask, told: Told): Promise<void> {
  const httpOptions = {
    headers: { ...(ask.key === undefined ? {} : { 'Idempotency-Key': ask.key }), ...ask.headers },
    ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }),
  }
  const wish: GenerateContentParameters = { model: 'pretend-1', contents: ask.prompt, config: { httpOptions } }
  if (ask.kind === 'object') {
    const responseJsonSchema = { type: 'object', properties: { answer: { type: 'string' } }, required: ['answer'] }
    const config = { httpOptions, responseMimeType: 'application/json', responseJsonSchema }
    const { text = '' } = await client.models.generateContent({ ...wish, config })
    told.text = (JSON.parse(text) as { answer: string }).answer
    return
  }
  const loop = { ...wish, config: { httpOptions, tools: [noteTool(told)] } }
  const asked = ask.kind.startsWith('tools') ? loop : wish
  if (ask.kind === 'plain' || ask.kind === 'tools') {
    const { text } = await client.models.generateContent(asked)
    told.text += text ?? ''
  } else if (ask.kind === 'stream' || ask.kind === 'toolsStream')
    for await (const chunk of await client.models.generateContentStream(asked)) told.text += chunk.text ?? ''
  else throw new Error(`@google/genai has no ${ask.kind}`)
}

/** A tool that the client calls by itself and answers for. */
function noteTool(told: Told): CallableTool {
  const parameters = { type: Type.OBJECT, properties: { note: { type: Type.STRING } } }
  return {
    tool: async () => ({ functionDeclarations: [{ name: 'note', description: 'Keeps a note.', parameters }] }),
    callTool: async (calls) => {
      told.text = `${String(calls[0]?.args?.['note'])}\n`
      return [{ functionResponse: { name: 'note', response: { result: 'kept' } } }]
    },
  }
}
