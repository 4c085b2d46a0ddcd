/** What answers and streams say they used, in every provider's words, in any split, and only where it is said. */
import { describe, expect, it } from 'vitest'
import { streamScanner, type Usage, usageOf } from '../../src/providers/index.ts'
import { bytesOf, event, paths } from './streams.ts'

const chatUsage = {
  prompt_tokens: 1200,
  completion_tokens: 340,
  total_tokens: 1540,
  prompt_tokens_details: { cached_tokens: 1024, audio_tokens: 16 },
  completion_tokens_details: { reasoning_tokens: 64, audio_tokens: 8 },
}
const chatUnits = {
  inputTokens: 1200,
  outputTokens: 340,
  cacheReadTokens: 1024,
  inputAudioTokens: 16,
  outputAudioTokens: 8,
}

function answered(value: unknown): Usage | undefined {
  return usageOf(bytesOf(JSON.stringify(value)))
}

/** The same from a stream, in pieces of a size. */
function streamed(path: string, text: string, size: number, contentType = 'text/event-stream'): Usage | undefined {
  const scanner = streamScanner({ path }, { contentType })
  const bytes = bytesOf(text)
  for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size))
  scanner.end(true)
  return scanner.usage
}

describe('a whole answer', () => {
  it.each<[string, unknown, Usage]>([
    ['OpenAI chat', { model: 'gpt-5-mini', usage: chatUsage }, { model: 'gpt-5-mini', units: chatUnits }],
    [
      'OpenAI responses',
      {
        model: 'gpt-5',
        output: [{ usage: { input_tokens: 9 } }],
        usage: {
          input_tokens: 75,
          input_tokens_details: { cached_tokens: 10 },
          output_tokens: 20,
          output_tokens_details: { reasoning_tokens: 5 },
        },
      },
      { model: 'gpt-5', units: { inputTokens: 75, outputTokens: 20, cacheReadTokens: 10 } },
    ],
    [
      'OpenAI embeddings',
      {
        data: [{ embedding: [0.1, -2e-3, 3] }],
        model: 'text-embedding-3-small',
        usage: { prompt_tokens: 8, total_tokens: 8 },
      },
      { model: 'text-embedding-3-small', units: { inputTokens: 8 } },
    ],
    [
      'OpenAI transcription by time',
      { text: 'hi', usage: { type: 'duration', seconds: 9.5 } },
      { model: undefined, units: { audioSeconds: 9.5 } },
    ],
    [
      'OpenAI transcription by tokens',
      { usage: { type: 'tokens', input_tokens: 14, input_token_details: { audio_tokens: 12 }, output_tokens: 4 } },
      { model: undefined, units: { inputTokens: 14, outputTokens: 4, inputAudioTokens: 12 } },
    ],
    [
      'OpenAI images',
      {
        usage: {
          input_tokens: 50,
          input_tokens_details: { text_tokens: 10, image_tokens: 40 },
          output_tokens: 70,
          output_tokens_details: { image_tokens: 70 },
        },
      },
      { model: undefined, units: { inputTokens: 50, outputTokens: 70, inputImageTokens: 40, outputImageTokens: 70 } },
    ],
    [
      'Anthropic, whose cache stands beside the input',
      {
        model: 'claude-sonnet-4-5',
        usage: {
          input_tokens: 100,
          cache_creation_input_tokens: 30,
          cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 },
          cache_read_input_tokens: 200,
          output_tokens: 50,
          server_tool_use: { web_search_requests: 2 },
        },
      },
      {
        model: 'claude-sonnet-4-5',
        units: {
          inputTokens: 330,
          outputTokens: 50,
          cacheReadTokens: 200,
          cacheWriteTokens: 30,
          cacheWriteHourTokens: 20,
          webSearches: 2,
        },
      },
    ],
    [
      'Gemini, whose thoughts stand beside the output',
      {
        usageMetadata: {
          promptTokenCount: 100,
          candidatesTokenCount: 20,
          thoughtsTokenCount: 30,
          toolUsePromptTokenCount: 5,
          cachedContentTokenCount: 40,
          promptTokensDetails: [
            { modality: 'TEXT', tokenCount: 80 },
            { modality: 'AUDIO', tokenCount: 20 },
          ],
          candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 15 }],
        },
        modelVersion: 'gemini-2.5-flash',
      },
      {
        model: 'gemini-2.5-flash',
        units: {
          inputTokens: 105,
          outputTokens: 50,
          cacheReadTokens: 40,
          inputAudioTokens: 20,
          outputImageTokens: 15,
        },
      },
    ],
    [
      'OpenRouter, which tells what it charges',
      { model: 'z/z', usage: { prompt_tokens: 1, completion_tokens: 2, cost: 0.00012 } },
      { model: 'z/z', units: { inputTokens: 1, outputTokens: 2, costUsd: 0.00012 } },
    ],
  ])('%s', (_name, value, expected) => {
    expect(answered(value)).toEqual(expected)
  })

  it('that says nothing of usage is unknown and not nothing', () => {
    for (const value of [
      {},
      { model: 'gpt-5', usage: null },
      { usage: 'prompt_tokens: 5' },
      { choices: [{ usage: { prompt_tokens: 5 } }] },
      { content: '"usage":{"prompt_tokens":5}' },
      { usage: { prompt_tokens: null, completion_tokens: '7', input_tokens: -3 } },
      [{ usage: { prompt_tokens: 5 } }],
    ])
      expect(answered(value), JSON.stringify(value)).toBeUndefined()
    expect(usageOf(bytesOf('no json'))).toBeUndefined()
  })
})

describe('a stream', () => {
  const chunk = (value: object): string => event({ object: 'chat.completion.chunk', model: 'gpt-5-mini', ...value })
  const chat =
    chunk({ choices: [{ delta: { content: '"usage":{"prompt_tokens":9}' } }], usage: null }) +
    chunk({ choices: [], usage: chatUsage }) +
    'data: [DONE]\n\n'
  const responses =
    event({ type: 'response.created', response: { model: 'gpt-5', usage: null } }, 'response.created') +
    event(
      { type: 'response.completed', response: { model: 'gpt-5', usage: { input_tokens: 7, output_tokens: 11 } } },
      'response.completed',
    )
  const anthropic =
    event(
      {
        type: 'message_start',
        message: { model: 'claude-x', usage: { input_tokens: 5, cache_read_input_tokens: 6, output_tokens: 1 } },
      },
      'message_start',
    ) +
    event({ type: 'message_delta', delta: {}, usage: { output_tokens: 40 } }, 'message_delta') +
    event({ type: 'message_stop' }, 'message_stop')
  const part = (usage: object, more = {}): object => ({
    candidates: [{ content: {}, ...more }],
    usageMetadata: usage,
    modelVersion: 'gemini-x',
  })
  const parts = [
    part({ promptTokenCount: 3, candidatesTokenCount: 1 }),
    part({ promptTokenCount: 3, candidatesTokenCount: 9 }, { finishReason: 'STOP' }),
  ]
  const cases: [string, string, string, string, Usage][] = [
    ['OpenAI chat', paths.chat, chat, 'text/event-stream', { model: 'gpt-5-mini', units: chatUnits }],
    [
      'OpenAI responses',
      paths.responses,
      responses,
      'text/event-stream',
      { model: 'gpt-5', units: { inputTokens: 7, outputTokens: 11 } },
    ],
    [
      'Anthropic, whose counts grow',
      paths.anthropic,
      anthropic,
      'text/event-stream',
      { model: 'claude-x', units: { inputTokens: 11, outputTokens: 40, cacheReadTokens: 6 } },
    ],
    [
      'Gemini',
      paths.gemini,
      parts.map((value) => event(value)).join(''),
      'text/event-stream',
      { model: 'gemini-x', units: { inputTokens: 3, outputTokens: 9 } },
    ],
    [
      'Gemini as an array',
      '/v1beta/models/g:streamGenerateContent',
      JSON.stringify(parts),
      'application/json',
      { model: 'gemini-x', units: { inputTokens: 3, outputTokens: 9 } },
    ],
    [
      'JSON that comes in chunks',
      '/v1/embeddings',
      JSON.stringify({ data: [1, 2], model: 'e', usage: { prompt_tokens: 8 } }),
      'application/json',
      { model: 'e', units: { inputTokens: 8 } },
    ],
  ]

  it.each(cases)('%s, in any split', (_name, path, text, contentType, expected) => {
    for (const size of [1, 2, 3, 7, 64, 100_000])
      expect(streamed(path, text, size, contentType), `${size}`).toEqual(expected)
  })

  it('without a usage event is unknown', () => {
    const silent = `${chunk({ choices: [{ delta: { content: 'hi' } }] })}data: [DONE]\n\n`
    expect(streamed(paths.chat, silent, 7)).toBeUndefined()
  })
})
