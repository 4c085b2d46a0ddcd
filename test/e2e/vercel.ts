/** What a user of Vercel's `ai` does, with the OpenAI and Anthropic providers. Runs on Node 22 (vercel.mjs). */
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import {
  generateObject,
  generateText,
  isStepCount,
  type LanguageModel,
  streamText,
  type TextStreamPart,
  type ToolSet,
  tool,
} from 'ai'
import { z } from 'zod'
import type { Ask, Told } from './sdk.ts'
import { tell } from './told.ts'

/** Makes one call as the ask says; resolves also where the client throws. */
export function perform(ask: Ask): Promise<Told> {
  const baseURL = `${ask.baseURL}/v1`
  const model =
    ask.provider === 'anthropic'
      ? createAnthropic({ baseURL, apiKey: 'sk-ant-test' })('pretend-1')
      : createOpenAI({ baseURL, apiKey: 'sk-test' })('pretend-1')
  return tell((told) => call(model, ask, told))
}

async function call(model: LanguageModel, ask: Ask, told: Told): Promise<void> {
  const options = {
    model,
    prompt: ask.prompt,
    headers: { ...(ask.key === undefined ? {} : { 'Idempotency-Key': ask.key }), ...ask.headers },
    ...(ask.retries === undefined ? {} : { maxRetries: ask.retries }),
  }
  const timed = { ...options, ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }) }
  const tools = {
    note: tool({
      description: 'Keeps a note.',
      inputSchema: z.object({ note: z.string() }),
      execute: ({ note }) => {
        told.text = `${note}\n`
        return 'kept'
      },
    }),
  }
  const loop = { ...timed, tools, stopWhen: isStepCount(3) }
  if (ask.kind === 'plain') told.text = (await generateText(timed)).text
  else if (ask.kind === 'object')
    told.text = (await generateObject({ ...options, schema: z.object({ answer: z.string() }) })).object.answer
  else if (ask.kind === 'tools') {
    const { text } = await generateText(loop)
    told.text += text
  } else if (ask.kind === 'stream') await read(streamText({ ...timed, onError: quiet }).stream, told)
  else if (ask.kind === 'toolsStream') await read(streamText({ ...loop, onError: quiet }).stream, told)
  else throw new Error(`ai has no ${ask.kind}`)
}

/** Errors are thrown below; without this they are printed too. */
const quiet = (): void => undefined

/** `textStream` would end quietly where a later step of a tool loop fails. */
async function read<T extends ToolSet>(stream: AsyncIterable<TextStreamPart<T>>, told: Told): Promise<void> {
  for await (const part of stream) {
    if (part.type === 'text-delta') told.text += part.text
    if (part.type === 'error') throw part.error
  }
}
