/** One face for the official SDKs, which are used as they are: only the base URL and headers are given. */
import OpenAI, { toFile } from 'openai'
import { askAnthropic, messageOf } from './anthropic.ts'
import type { Stage } from './harness.ts'
import { onNode22 } from './node22.ts'
import { perform } from './openai.ts'

/**
 * What is called; `raw` is the plain call whose body is read as bytes, `object` an answer of a given shape, `tools` and
 * `toolsStream` a tool loop of one round, whose text is the tool's argument and the last answer, a line each.
 */
export type Kind =
  | 'plain'
  | 'stream'
  | 'responses'
  | 'responsesStream'
  | 'embeddings'
  | 'transcription'
  | 'raw'
  | 'object'
  | 'tools'
  | 'toolsStream'
  | 'batch'
  | 'file'

/** One call through an SDK. */
export interface Ask {
  readonly kind: Kind
  /** Without `/v1`. */
  readonly baseURL: string
  readonly prompt: string
  readonly key?: string
  readonly timeoutMs?: number
  /** Automatic retries; default: the SDK's own. */
  readonly retries?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Where a client speaks to several. */
  readonly provider?: 'openai' | 'anthropic'
}

/** What the user of the SDK got: all of the text, or some of it and an error. `raw` is base64. */
export interface Told {
  text: string
  /** `Idempotency-Status` of the answer. */
  how: string | null
  /** `Idempotent-Replayed` of the answer. */
  replayed: string | null
  error?: { name: string; status?: number; code?: string; message: string }
}

/** An SDK that is ready. */
export interface Sdk {
  readonly kinds: readonly Kind[]
  /** The plain call as `fetch` sends it. */
  readonly request: (prompt: string) => { path: string; body: object }
  ask(ask: Ask): Promise<Told>
}

const openaiKinds = ['plain', 'stream', 'responses', 'responsesStream', 'embeddings', 'transcription'] as const

const openaiRequest: Sdk['request'] = (prompt) => ({
  path: '/v1/chat/completions',
  body: { model: 'pretend-1', messages: [{ role: 'user', content: prompt }] },
})

/** `openai` 6 in this process. */
export const openai6: Sdk = {
  kinds: openaiKinds,
  request: openaiRequest,
  ask: (ask) => perform(OpenAI, toFile, ask),
}

/** `openai` 7 on Node 22. */
export async function openai7(stage: Stage): Promise<Sdk> {
  return { kinds: openaiKinds, request: openaiRequest, ask: await onNode22(stage, 'openai7.mjs') }
}

/** `@anthropic-ai/sdk` in this process. */
export const anthropic: Sdk = {
  kinds: ['plain', 'stream'],
  request: (prompt) => ({ path: '/v1/messages', body: messageOf(prompt) }),
  ask: askAnthropic,
}
