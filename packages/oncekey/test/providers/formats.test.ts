/** Gemini, streams of nobody we know, and how path, content type and status choose. */
import { describe, expect, it } from 'vitest'
import { streamScanner } from '../../src/providers/index.ts'
import { bytesOf, event, gemini, messages, paths, scan, scannerFor } from './streams.ts'

describe('Gemini', () => {
  it('needs a finishReason and a clean end', () => {
    const whole = gemini.body + gemini.end
    expect(scan(paths.gemini, whole)).toMatchObject({ end: 'complete', terminatorAt: undefined, format: 'gemini' })
    expect(scan(paths.gemini, whole, { clean: false }).end).toBe('truncated')
    expect(scan(paths.gemini, gemini.body).end).toBe('truncated')
    expect(scan(paths.gemini, '').end).toBe('truncated')
    expect(scan(paths.gemini, whole + event({ usageMetadata: {} })).end).toBe('complete')
    expect(scan(paths.gemini, `${whole}data: {"candidates":[{"content"`).end).toBe('truncated')
    expect(scan(paths.gemini, whole.trimEnd()).end).toBe('complete')
    expect(scan(paths.unknown, whole)).toMatchObject({ format: 'gemini', end: 'complete' })
  })

  it('takes a blocked prompt for a final answer', () => {
    expect(scan(paths.gemini, event({ promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: {} })).end).toBe(
      'complete',
    )
  })

  it('is failed by an error, with a finishReason or without', () => {
    expect(scan(paths.gemini, gemini.body + event({ error: { code: 503 } }) + gemini.end).end).toBe('failed')
    expect(scan(paths.gemini, gemini.body + gemini.end + event({ error: { code: 503 } })).end).toBe('failed')
  })

  it('is not finished by the word alone', () => {
    for (const value of [
      {
        candidates: [
          {
            content: {
              parts: [{ text: '"finishReason":"STOP"' }, { functionCall: { args: { finishReason: 'STOP' } } }],
            },
          },
        ],
      },
      { candidates: [{ finishReason: '' }] },
      { candidates: [{ finishReason: null }] },
      { candidates: [{ finishReason: 'FINISH_REASON_UNSPECIFIED' }] },
      { finishReason: 'STOP' },
    ]) {
      expect(scan(paths.gemini, gemini.body + event(value)).end, JSON.stringify(value)).toBe('truncated')
    }
  })

  it('streams a JSON array where nobody asked for events, and no comment may enter it', () => {
    const path = '/v1beta/models/g:streamGenerateContent'
    const contentType = 'application/json; charset=UTF-8'
    const array = `[${gemini.parts.map((value) => JSON.stringify(value, undefined, 2)).join('\n,\r\n')}\n]\n`
    const known = { format: 'gemini', terminatorAt: undefined, atEventEnd: false }
    for (const size of [1, 7, 100_000]) {
      expect(scan(path, array, { contentType, size })).toMatchObject({ end: 'complete', ...known })
      expect(scan(path, array, { contentType, size, clean: false })).toMatchObject({ end: 'truncated', ...known })
      expect(scan(path, array.trimEnd().slice(0, -1), { contentType, size }).end).toBe('truncated')
      expect(scan(path, JSON.stringify(gemini.parts.slice(0, 1)), { contentType, size }).end).toBe('truncated')
      expect(scan(path, JSON.stringify([...gemini.parts, { error: { code: 500 } }]), { contentType, size }).end).toBe(
        'failed',
      )
    }
    expect(scan(path, '', { contentType })).toMatchObject({ end: 'truncated', ...known })
  })
})

describe('a stream of nobody we know', () => {
  it('is complete when it ends cleanly, also empty', () => {
    for (const text of [
      '',
      ': hi\n\n',
      'data: x',
      event({ a: 1 }),
      event('[DONE]x'),
      event({ type: 'message_start' }),
      event({ candidates: ['Ada'] }),
    ]) {
      expect(scan(paths.unknown, text), text).toMatchObject({ format: 'sse', end: 'complete', terminatorAt: undefined })
      expect(scan(paths.unknown, text, { clean: false }).end).toBe('truncated')
    }
  })

  it('is judged by its first event with something in it, and by no later one', () => {
    expect(scan(paths.unknown, `: hello\n\nid: 1\n\n${event({ type: 'ping' }, 'ping')}${messages.body}`)).toMatchObject(
      { format: 'anthropic', end: 'truncated' },
    )
    expect(scan(paths.unknown, event({ hello: 1 }) + messages.body)).toMatchObject({ format: 'sse', end: 'complete' })
  })

  it('is failed by an event of the name error only', () => {
    expect(scan(paths.unknown, event('x', 'error') + event('y')).end).toBe('failed')
    expect(scan(paths.unknown, event({ jsonrpc: '2.0', id: 1, error: { code: -32601 } })).end).toBe('complete')
  })
})

describe('path and content type', () => {
  it.each([
    ['/openai/v1/chat/completions', 'openai-chat'],
    ['/openai/deployments/x/chat/completions?api-version=2024-10-21', 'openai-chat'],
    ['/v1/completions/', 'openai-chat'],
    ['/v1/chat/completions//?a=/v1/messages', 'openai-chat'],
    ['/v1beta/openai/chat/completions', 'openai-chat'],
    ['/openai/responses?api-version=preview', 'openai-responses'],
    ['/anthropic/v1/messages?beta=true', 'anthropic'],
    ['/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent', 'gemini'],
    ['/v1beta/models/g%3AstreamGenerateContent?alt=sse&key=k', 'gemini'],
    ['/v1/elsewhere?x=/v1/messages', 'sse'],
    ['/v1/messages/batches', 'sse'],
    ['/v1/my-completions', 'sse'],
    ['/', 'sse'],
    ['', 'sse'],
  ])('%s is %s', (path, format) => {
    expect(scannerFor(path).format).toBe(format)
    expect(scannerFor(path, 'TEXT/Event-Stream ; charset=utf-8').format).toBe(format)
  })

  it.each([
    'application/json',
    'application/x-ndjson',
    'application/vnd.amazon.eventstream',
    'text/event-streamed',
    'audio/mpeg',
    undefined,
  ])('%s is opaque, whatever the path', (contentType) => {
    for (const path of Object.values(paths).slice(0, 3)) {
      const scanner = streamScanner({ path }, { contentType })
      scanner.push(bytesOf('event: error\ndata: [DONE]\n\n'))
      expect(scanner).toMatchObject({
        format: 'opaque',
        offset: 27,
        terminatorAt: undefined,
        failed: false,
        atEventEnd: false,
      })
      expect(scanner.end(true)).toBe('complete')
      expect(streamScanner({ path }, { contentType }).end(false)).toBe('truncated')
    }
  })

  it('asks no terminator of an answer that is no success', () => {
    for (const path of Object.values(paths)) {
      const scanner = streamScanner({ path }, { contentType: 'text/event-stream', status: 400 })
      scanner.push(bytesOf('{"error":{}}'))
      expect(scanner.format).toBe('opaque')
      expect(scanner.end(true)).toBe('complete')
    }
    const array = streamScanner(
      { path: '/v1beta/models/g:streamGenerateContent' },
      { contentType: 'application/json', status: 400 },
    )
    array.push(bytesOf('[{"error":{"code":400}}]'))
    expect(array.end(true)).toBe('complete')
  })
})
