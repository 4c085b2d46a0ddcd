/** Streams as the providers send them, and ways to feed them to a scanner. */
import type { StreamEnd, StreamScanner } from '../../src/providers/index.ts'
import { streamScanner } from '../../src/providers/index.ts'

export const paths = {
  chat: '/v1/chat/completions',
  responses: '/v1/responses',
  anthropic: '/v1/messages',
  gemini: '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
  unknown: '/v1/elsewhere',
} as const

/** One event with the lines the provider would send. */
export function event(data: unknown, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
}

const chunk = (delta: object, finish: string | null = null): string =>
  event({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    model: 'gpt-x',
    choices: [{ index: 0, delta, finish_reason: finish }],
  })

export const chat = {
  body: chunk({ role: 'assistant' }) + chunk({ content: 'Grüße 👋' }) + chunk({}, 'stop'),
  end: event('[DONE]'),
}

const typed = (value: { type: string }): string => event(value, value.type)

export const responses = {
  body:
    typed({ type: 'response.created', response: { id: 'r', error: null } } as { type: string }) +
    typed({ type: 'response.output_text.delta', delta: 'Grüße 👋' } as { type: string }),
  end: typed({ type: 'response.completed', response: { id: 'r', error: null } } as { type: string }),
}

export const messages = {
  body:
    typed({ type: 'message_start', message: { id: 'm' } } as { type: string }) +
    typed({ type: 'ping' }) +
    typed({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Grüße 👋' } } as {
      type: string
    }),
  end: typed({ type: 'message_stop' }),
}

const part = (text: string, finishReason?: string): object => ({
  candidates: [
    {
      content: { parts: [{ text }], role: 'model' },
      ...(finishReason === undefined ? {} : { finishReason }),
      index: 0,
    },
  ],
  usageMetadata: { totalTokenCount: 3 },
})

export const gemini = {
  body: event(part('Grüße 👋')),
  end: event(part('.', 'STOP')),
  parts: [part('a'), part('b', 'STOP')],
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export const scannerFor = (path: string, contentType = 'text/event-stream'): StreamScanner =>
  streamScanner({ path }, { contentType })

/** What a scanner knows after the whole text, or after the same in pieces of `size` bytes. */
export interface Verdict {
  readonly end: StreamEnd
  readonly terminatorAt: number | undefined
  readonly failed: boolean
  readonly format: string
  readonly atEventEnd: boolean
}

export function scan(
  path: string,
  text: string | Uint8Array,
  options: { clean?: boolean; size?: number; contentType?: string } = {},
): Verdict {
  const { clean = true, size = Number.MAX_SAFE_INTEGER, contentType } = options
  const bytes = typeof text === 'string' ? bytesOf(text) : text
  const scanner = scannerFor(path, contentType)
  for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, Math.min(bytes.length, at + size)))
  const { terminatorAt, failed, format, atEventEnd } = scanner
  return { end: scanner.end(clean), terminatorAt, failed, format, atEventEnd }
}
