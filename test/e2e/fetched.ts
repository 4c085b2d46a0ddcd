/** What a user does who hands `idempotentFetch` to an SDK. Runs on Node 22 (fetched.mjs), where all of them run. */
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { ChatAnthropic } from '@langchain/anthropic'
import { HumanMessage } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, streamText } from 'ai'
import { idempotentFetch } from 'oncekey/client'
import OpenAI from 'openai7'
import type { Told } from './sdk.ts'
import { tell } from './told.ts'

/** The constructors that take it. */
export const users = [
  'openai',
  'anthropic',
  'ai openai',
  'ai anthropic',
  'langchain openai',
  'langchain anthropic',
] as const

/** One of them. */
export type User = (typeof users)[number]

/** One call through an SDK. */
export interface FetchedAsk {
  readonly user: User
  readonly isStream: boolean
  readonly baseURL: string
  readonly prompt: string
  /** Who tries again; `nobody` of ours, with the plain fetch, is the control. */
  readonly retries: 'ours' | 'theirs' | 'theirs on a plain fetch'
  /** The SDK's own. */
  readonly timeoutMs?: number
}

/** Pauses are a tenth as long, for there are many. */
const clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs: number, fire: () => void) => {
    const timer = setTimeout(fire, delayMs / 10)
    return { cancel: () => clearTimeout(timer) }
  },
}

const ours = idempotentFetch({ clock })
const single = idempotentFetch({ retries: 0 })

const model = 'pretend-1'
const apiKey = 'sk-test'

/** Makes one call as the ask says; resolves also where the SDK throws. */
export function perform(ask: FetchedAsk): Promise<Told> {
  const fetch = ask.retries === 'ours' ? ours : ask.retries === 'theirs' ? single : globalThis.fetch
  const patience = {
    ...(ask.retries === 'ours' ? { maxRetries: 0 } : {}),
    ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }),
  }
  return tell((told) => calls[ask.user](ask, fetch, patience, told))
}

interface Patience {
  readonly maxRetries?: number
  readonly timeout?: number
}
type Do = (ask: FetchedAsk, fetch: typeof globalThis.fetch, patience: Patience, told: Told) => Promise<void>

const openai: Do = async ({ baseURL, prompt, isStream }, fetch, patience, told) => {
  const client = new OpenAI({ apiKey, baseURL: `${baseURL}/v1`, fetch, ...patience })
  const request = { model, messages: [{ role: 'user' as const, content: prompt }] }
  if (isStream) {
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      told.text += chunk.choices[0]?.delta.content ?? ''
  } else told.text = (await client.chat.completions.create(request)).choices[0]?.message.content ?? ''
}

const anthropic: Do = async ({ baseURL, prompt, isStream }, fetch, patience, told) => {
  const client = new Anthropic({ apiKey, baseURL, fetch, ...patience })
  const request = { model, max_tokens: 64, messages: [{ role: 'user' as const, content: prompt }] }
  if (isStream) {
    for await (const event of await client.messages.create({ ...request, stream: true }))
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') told.text += event.delta.text
  } else {
    const { content } = await client.messages.create(request)
    told.text = content.map((block) => (block.type === 'text' ? block.text : '')).join('')
  }
}

const vercel =
  (make: typeof createOpenAI | typeof createAnthropic): Do =>
  async ({ baseURL, prompt, isStream }, fetch, { timeout: _, ...patience }, told) => {
    const options = { model: make({ baseURL: `${baseURL}/v1`, apiKey, fetch })(model), prompt, ...patience }
    if (isStream) {
      for await (const part of streamText({ ...options, onError: () => undefined }).stream) {
        if (part.type === 'text-delta') told.text += part.text
        if (part.type === 'error') throw part.error
      }
    } else told.text = (await generateText(options)).text
  }

const langchain =
  (isOpenAI: boolean): Do =>
  async ({ baseURL, prompt, isStream }, fetch, patience, told) => {
    const chat = isOpenAI
      ? new ChatOpenAI({ model, apiKey, configuration: { baseURL: `${baseURL}/v1`, fetch }, ...patience })
      : new ChatAnthropic({ model, apiKey, anthropicApiUrl: baseURL, clientOptions: { fetch }, ...patience })
    const turns = [new HumanMessage(prompt)]
    if (isStream) for await (const chunk of await chat.stream(turns)) told.text += chunk.text
    else told.text = (await chat.invoke(turns)).text
  }

const calls: Record<User, Do> = {
  openai,
  anthropic,
  'ai openai': vercel(createOpenAI),
  'ai anthropic': vercel(createAnthropic),
  'langchain openai': langchain(true),
  'langchain anthropic': langchain(false),
}
