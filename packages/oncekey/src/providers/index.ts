/** TEMPORARY stand-in until the providers room lands: enough to run the exchange. */
export interface StreamScanner {
  readonly format: string
  push(bytes: Uint8Array): void
  readonly offset: number
  readonly terminatorAt: number | undefined
  readonly failed: boolean
  readonly atEventEnd: boolean
  end(clean: boolean): 'complete' | 'truncated' | 'failed'
}
export function streamScanner(request: { path: string }, response: { contentType: string | undefined }): StreamScanner {
  const sse = (response.contentType ?? '').includes('event-stream')
  const known = sse && /completions$/.test(request.path)
  let offset = 0
  let text = ''
  let terminatorAt: number | undefined
  return {
    format: known ? 'openai-chat' : sse ? 'sse' : 'opaque',
    push(bytes) {
      offset += bytes.length
      text += new TextDecoder().decode(bytes)
      if (known && terminatorAt === undefined) {
        const at = text.indexOf('data: [DONE]')
        if (at >= 0) terminatorAt = at
      }
    },
    get offset() {
      return offset
    },
    get terminatorAt() {
      return terminatorAt
    },
    failed: false,
    get atEventEnd() {
      return text === '' || text.endsWith('\n\n')
    },
    end: (clean) => (known ? (terminatorAt !== undefined ? 'complete' : 'truncated') : clean ? 'complete' : 'truncated'),
  }
}
export function offsetAfterEvent(_body: Uint8Array, _lastEventId: string): number | undefined {
  return undefined
}
