/** What the snippets of the pages leave to their reader: names that they use and do not declare, each as wide as it may be. */
import type { createAnthropic as CreateAnthropic } from '@ai-sdk/anthropic'
import type { createOpenAI as CreateOpenAI } from '@ai-sdk/openai'
import type AnthropicClient from '@anthropic-ai/sdk'
import type { GoogleGenAI as Google } from '@google/genai'
import type { ChatAnthropic as LangChainAnthropic } from '@langchain/anthropic'
import type { ChatOpenAI as LangChainOpenAI } from '@langchain/openai'
import type {
  Body as NestBody,
  Controller as NestController,
  Module as NestModule,
  Post as NestPost,
} from '@nestjs/common'
import type { generateText as GenerateText } from 'ai'
import type expressModule from 'express'
import type { Express, RequestHandler } from 'express'
import type { createIdempotency as Create, Idempotency, memoryStore as Memory, RunningAttempt, Store } from 'oncekey'
import type { idempotentFetch as OurFetch } from 'oncekey/client'
import type { Idempotent as OurIdempotent, IdempotencyModule as OurModule } from 'oncekey/nest'
import type OpenAIClient from 'openai'
import type { Pool } from 'pg'

/** Anything that JSON can hold, which is what snippets hand about. */
type Value = { readonly [member: string]: string }

declare global {
  type Charge = Value

  // Ours, as an earlier snippet of the page has made them. `once` is an engine in most pages, and middleware in that of the servers.
  const attempt: RunningAttempt
  const createIdempotency: typeof Create
  const idempotentFetch: typeof OurFetch
  const IdempotencyModule: typeof OurModule
  const Idempotent: typeof OurIdempotent
  const memoryStore: typeof Memory
  const once: Idempotency & RequestHandler
  const store: Store

  // Other people's, whose import a page of many clients does not repeat.
  const Anthropic: typeof AnthropicClient
  const app: Express
  const Body: typeof NestBody
  const ChatAnthropic: typeof LangChainAnthropic
  const ChatOpenAI: typeof LangChainOpenAI
  const Controller: typeof NestController
  const createAnthropic: typeof CreateAnthropic
  const createOpenAI: typeof CreateOpenAI
  const express: typeof expressModule
  const generateText: typeof GenerateText
  const GoogleGenAI: typeof Google
  const Module: typeof NestModule
  const OpenAI: typeof OpenAIClient
  const pool: Pool
  const Post: typeof NestPost

  // The reader's own calls.
  function callModel(prompt: string, how?: { signal: AbortSignal; fence: number }): Promise<string>
  function charge(order: unknown, how?: { signal: AbortSignal; fence: number }): Promise<Value>
  function chargeCard(order: Value, how: { signal: AbortSignal; fence: number }): Promise<Value>
  function createBatch(name: string, input?: Value): Promise<Value>
  function embed(text: string): Promise<number[]>
  function findBatch(name: string): Promise<Value | undefined>
  function findBatchByName(name: string): Promise<Value | undefined>
  function split(text: string): string[]
  function summarise(text: string): Promise<string>
  function tenant(request: unknown): string
  function wasRefused(error: unknown): boolean
  const provider: { pay(what: string): Promise<string>; has(what: string): Promise<boolean> }

  // The reader's own things.
  const apiKey: string
  const localStorage: { getItem(name: string): string | null; setItem(name: string, value: string): void }
  const bytes: Uint8Array
  const contents: string
  const id: string
  const input: Value
  const messages: string
  const model: string
  const name: string
  const order: Value
  const prompt: string
  const request: { model: string; max_tokens: number; messages: { role: 'user'; content: string }[] }
  const text: string
}
