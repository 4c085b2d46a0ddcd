/** What a user of LangChain's chat models of OpenAI and Anthropic does. Runs on Node 22 (langchain.mjs). */
import { ChatAnthropic } from '@langchain/anthropic'
import { type BaseMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { z } from 'zod'
import type { Ask, Told } from './sdk.ts'
import { tell } from './told.ts'

/** Makes one call as the ask says; resolves also where the client throws. */
export function perform(ask: Ask): Promise<Told> {
  const headers = { ...(ask.key === undefined ? {} : { 'Idempotency-Key': ask.key }), ...ask.headers }
  return ask.provider === 'anthropic' ? performAnthropic(ask, headers) : performOpenAI(ask, headers)
}

function performOpenAI(ask: Ask, headers: Record<string, string>): Promise<Told> {
  const chat = new ChatOpenAI({
    model: 'pretend-1',
    apiKey: 'sk-test',
    configuration: { baseURL: `${ask.baseURL}/v1` },
    ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }),
    ...(ask.retries === undefined ? {} : { maxRetries: ask.retries }),
  })
  // `invoke` reads the one, `stream` the other.
  const options = { headers, options: { headers } }
  return tell((told) => call(chat, chat.bindTools([note]), options, ask, told))
}

function performAnthropic(ask: Ask, headers: Record<string, string>): Promise<Told> {
  const chat = new ChatAnthropic({
    model: 'pretend-1',
    apiKey: 'sk-ant-test',
    anthropicApiUrl: ask.baseURL,
    ...(ask.timeoutMs === undefined ? {} : { clientOptions: { timeout: ask.timeoutMs } }),
    ...(ask.retries === undefined ? {} : { maxRetries: ask.retries }),
  })
  return tell((told) => call(chat, chat.bindTools([note]), { headers }, ask, told))
}

interface Chat<Options> {
  invoke(input: BaseMessage[], options: Options): Promise<BaseMessage>
  stream(input: BaseMessage[], options: Options): Promise<AsyncIterable<BaseMessage>>
}

const note = tool(() => 'kept', { name: 'note', description: 'Keeps a note.', schema: z.object({ note: z.string() }) })

async function call<O>(chat: Chat<O>, withTools: Chat<O>, options: O, ask: Ask, told: Told): Promise<void> {
  const turns: BaseMessage[] = [new HumanMessage(ask.prompt)]
  if (ask.kind === 'plain') told.text = (await chat.invoke(turns, options)).text
  else if (ask.kind === 'stream') for await (const chunk of await chat.stream(turns, options)) told.text += chunk.text
  else if (ask.kind === 'tools') {
    const first = await withTools.invoke(turns, options)
    const [wanted] = (first as BaseMessage & { tool_calls?: { id: string; args: { note: string } }[] }).tool_calls ?? []
    if (wanted === undefined) throw new Error('No tool was called.')
    told.text = `${wanted.args.note}\n`
    const result = new ToolMessage({ content: 'kept', tool_call_id: wanted.id })
    const last = await withTools.invoke([...turns, first, result], options)
    told.text += last.text
  } else throw new Error(`LangChain is not asked for ${ask.kind}`)
}
