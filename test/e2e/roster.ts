/**
 * The clients that run against the suite in clients.ts, and what is particular about each. The suite fails where one of
 * these is not so; docs/guide/clients.md shows them in a table (test/docs/clients.test.ts).
 */
import type { Kind } from './sdk.ts'

/** One client as its users have it. */
export interface Traits {
  readonly name: string
  /** Its npm packages, as they are named in package.json; none for a program. */
  readonly packages: readonly string[]
  /** The test file that runs it. */
  readonly file: string
  readonly kinds: readonly Kind[]
  /** Who tries again after the client's own timeout. */
  readonly afterTimeout: 'client' | 'caller'
  /** Who tries again after a connection that broke before an answer came. */
  readonly afterBreak: 'client' | 'caller'
  /** Its retries carry a count, so that the gateway knows them without a key. */
  readonly declaresRetries: boolean
  /** It asks again after a 422 too, though that can only fail again. */
  readonly retriesRefusals: boolean
}

const usual = { afterTimeout: 'client', afterBreak: 'client', declaresRetries: false, retriesRefusals: false } as const
const everyWay: readonly Kind[] = ['plain', 'stream', 'object', 'tools', 'toolsStream']

/** All of them, by a short name. */
export const roster = {
  openai7: {
    ...usual,
    name: 'openai 7',
    packages: ['openai7'],
    file: 'openai7.test.ts',
    kinds: [
      'plain',
      'stream',
      'responses',
      'responsesStream',
      'embeddings',
      'transcription',
      'tools',
      'toolsStream',
      'batch',
      'file',
    ],
    declaresRetries: true,
  },
  anthropic: {
    ...usual,
    name: '@anthropic-ai/sdk',
    packages: ['@anthropic-ai/sdk'],
    file: 'anthropic.test.ts',
    kinds: ['plain', 'stream', 'tools', 'toolsStream', 'batch', 'file'],
    declaresRetries: true,
  },
  vercelOpenAI: {
    ...usual,
    name: 'ai 7 with @ai-sdk/openai',
    packages: ['ai', '@ai-sdk/openai'],
    file: 'vercel-openai.test.ts',
    kinds: everyWay,
    afterTimeout: 'caller',
  },
  vercelAnthropic: {
    ...usual,
    name: 'ai 7 with @ai-sdk/anthropic',
    packages: ['ai', '@ai-sdk/anthropic'],
    file: 'vercel-anthropic.test.ts',
    kinds: everyWay,
    afterTimeout: 'caller',
  },
  genai: {
    ...usual,
    name: '@google/genai',
    packages: ['@google/genai'],
    file: 'genai.test.ts',
    kinds: everyWay,
    // Node words a broken connection `fetch failed`, which it does not take for one.
    afterBreak: 'caller',
  },
  langchainOpenAI: {
    ...usual,
    name: '@langchain/openai',
    packages: ['@langchain/openai', '@langchain/core'],
    file: 'langchain-openai.test.ts',
    kinds: ['plain', 'stream', 'tools'],
    retriesRefusals: true,
  },
  langchainAnthropic: {
    ...usual,
    name: '@langchain/anthropic',
    packages: ['@langchain/anthropic', '@langchain/core'],
    file: 'langchain-anthropic.test.ts',
    kinds: ['plain', 'stream', 'tools'],
    retriesRefusals: true,
  },
  curl: { ...usual, name: 'curl', packages: [], file: 'curl.test.ts', kinds: ['plain', 'stream'] },
} as const satisfies Record<string, Traits>
