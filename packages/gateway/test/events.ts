/** Event streams as AI providers send them: their path, their beginning, and the bytes that make them whole. */

/** One provider's stream in pieces. */
export interface StreamCase {
  readonly name: string
  readonly path: string
  readonly begin: readonly string[]
  /** The terminator, blank line included; the rest without it is truncated. */
  readonly end: string
  /** An event that says the provider failed. */
  readonly error: string
  /** Gemini has no terminator that stands for itself: its last event needs a clean end as well. */
  readonly needsCleanEnd: boolean
}

export const streamCases: readonly StreamCase[] = [
  {
    name: 'openai',
    path: '/v1/chat/completions',
    begin: [
      'data: {"id":"c","object":"chat.completion.chunk","choices":[{"delta":{"content":"Hel"}}]}\n\n',
      'data: {"id":"c","object":"chat.completion.chunk","choices":[{"delta":{"content":"lo"}}]}\n\n',
    ],
    end: 'data: [DONE]\n\n',
    error: 'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n',
    needsCleanEnd: false,
  },
  {
    name: 'anthropic',
    path: '/v1/messages',
    begin: [
      'event: message_start\ndata: {"type":"message_start","message":{"id":"m"}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"Hello"}}\n\n',
    ],
    end: 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    error: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
    needsCleanEnd: false,
  },
  {
    name: 'responses',
    path: '/v1/responses',
    begin: [
      'event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n',
      'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hello"}\n\n',
    ],
    end: 'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r"}}\n\n',
    error: 'event: error\ndata: {"type":"error","code":"server_error","message":"failed"}\n\n',
    needsCleanEnd: false,
  },
  {
    name: 'gemini',
    path: '/v1beta/models/g:streamGenerateContent?alt=sse',
    begin: [
      'data: {"candidates":[{"content":{"parts":[{"text":"Hel"}]}}],"usageMetadata":{"totalTokenCount":1}}\r\n\r\n',
      'data: {"candidates":[{"content":{"parts":[{"text":"lo"}]}}],"usageMetadata":{"totalTokenCount":2}}\r\n\r\n',
    ],
    end: 'data: {"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}],"usageMetadata":{"totalTokenCount":3}}\r\n\r\n',
    error: 'data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}\r\n\r\n',
    needsCleanEnd: true,
  },
]

export const openai = streamCases[0] as StreamCase

/** The whole stream. */
export function wholeOf({ begin, end }: StreamCase): string {
  return begin.join('') + end
}
