/** Streams with a terminator: when they are complete, truncated or failed. */
import { describe, expect, it } from 'vitest'
import { bytesOf, chat, event, messages, paths, responses, scan, scannerFor } from './streams.ts'

const withTerminator = [
  { name: 'OpenAI chat', path: paths.chat, ...chat, format: 'openai-chat' },
  { name: 'OpenAI responses', path: paths.responses, ...responses, format: 'openai-responses' },
  { name: 'Anthropic', path: paths.anthropic, ...messages, format: 'anthropic' },
]

describe.each(withTerminator)('$name', ({ path, body, end, format }) => {
  const at = bytesOf(body).length

  it('is complete with the terminator, after a clean end and after a break', () => {
    const wanted = { end: 'complete', terminatorAt: at, failed: false, format, atEventEnd: true }
    expect(scan(path, body + end)).toEqual(wanted)
    expect(scan(path, body + end, { clean: false })).toEqual(wanted)
  })

  it('is truncated without it, also when it ends cleanly and also when it is empty', () => {
    for (const clean of [true, false]) {
      expect(scan(path, body, { clean })).toMatchObject({ end: 'truncated', terminatorAt: undefined })
      expect(scan(path, '', { clean })).toMatchObject({
        end: 'truncated',
        terminatorAt: undefined,
        atEventEnd: true,
        format,
      })
      expect(scan(path, ': only a comment\n\n', { clean })).toMatchObject({ end: 'truncated' })
    }
  })

  it('is truncated when it breaks anywhere before the terminator is whole', () => {
    const whole = bytesOf(body + end)
    const lineEnd = whole.length - 1
    for (let cut = 0; cut < lineEnd; cut++) {
      expect(scan(path, whole.subarray(0, cut), { clean: false }).end, `cut at ${cut}`).toBe('truncated')
    }
  })

  it('takes the first event for its own where the path says nothing', () => {
    expect(scan(paths.unknown, body + end)).toMatchObject({ format, end: 'complete', terminatorAt: at })
    expect(scan(paths.unknown, body)).toMatchObject({ format, end: 'truncated' })
  })

  it('goes by what the provider said before the terminator, not after it', () => {
    expect(scan(path, `${body}${end}: bye\n\n${event({ error: { message: 'late' } }, 'error')}`)).toMatchObject({
      end: 'complete',
      terminatorAt: at,
    })
  })
})

describe.each(withTerminator)('$name, whatever it says', ({ path, body, end }) => {
  it('is failed by an error event, whatever follows', () => {
    const failed = { end: 'failed', failed: true }
    expect(
      scan(path, body + event({ type: 'error', error: { type: 'overloaded_error' } }, 'error') + end),
    ).toMatchObject(failed)
    expect(scan(path, body + event({ type: 'error', error: { type: 'overloaded_error' } }))).toMatchObject(failed)
    expect(scan(path, body + event('no json', 'error') + end)).toMatchObject(failed)
    expect(scan(path, `${body}event: error\n\n${end}`, { clean: false })).toMatchObject(failed)
    expect(scan(path, `${body}event: error\n`)).toMatchObject({ end: 'failed' })
    expect(scan(path, `${body}data: {"error": {"message": "x"}}\n\n`)).toMatchObject(failed)
    expect(scan(path, `${body}data: {"error": {"message": "x"}}`)).toMatchObject({ end: 'failed' })
    expect(scan(path, `${body}data: {"\\u0065rror": "x"}\n\n`)).toMatchObject(failed)
  })

  it('is not failed by an error member that is empty, nested or written by the model', () => {
    for (const data of [
      '{"error":null}',
      '{"error":false}',
      '{"error":""}',
      '{"x":{"error":{"message":"deep"}}}',
      '{"choices":[{"error":{}}]}',
      JSON.stringify({ delta: { content: '{"error":{"message":"x"}}' }, error: null }),
      JSON.stringify({ content: '"error"', text: '","error":{"a":1},"b":"' }),
      JSON.stringify({ content: 'error', reason: 'error', list: ['error', '"error":'] }),
      '"error"',
      '["error"]',
    ]) {
      expect(scan(path, body + event(data) + end), data).toMatchObject({ end: 'complete', failed: false })
    }
  })

  it('is not ended by anything a model writes', () => {
    const written = [
      '[DONE]',
      'data: [DONE]',
      '\n\ndata: [DONE]\n\n',
      'message_stop',
      'response.completed',
      '{"type":"message_stop"}',
    ]
    for (const text of [
      ...written,
      ...written.map((value) => JSON.stringify(value)),
      '\\',
      '\\"',
      '"',
      '\\\\"type\\\\":',
    ]) {
      const tail = event({ delta: text, choices: [{ delta: { content: text } }], note: { type: text }, list: [text] })
      expect(scan(path, body + tail), text).toMatchObject({ end: 'truncated', terminatorAt: undefined })
      expect(scan(path, body + tail, { size: 1 }), text).toMatchObject({ end: 'truncated', terminatorAt: undefined })
      expect(scan(path, `${body}: ${text.replaceAll('\n', ' ')}\n\n`), text).toMatchObject({ end: 'truncated' })
      expect(scan(path, body + tail + end), text).toMatchObject({ end: 'complete', failed: false })
    }
  })
})

describe('OpenAI chat', () => {
  it.each([
    'data:[DONE]\n\n',
    'data: [DONE]\n',
    'data: [DONE]',
    'data:  [DONE] \r\n',
    'data: [DONE]\r\r',
    'event: done\ndata: [DONE]\n\n',
  ])('ends with %j', (end) => {
    expect(scan(paths.chat, chat.body + end).end).toBe('complete')
  })

  it('needs the line of the terminator whole when the connection breaks', () => {
    expect(scan(paths.chat, `${chat.body}data: [DONE]`, { clean: false }).end).toBe('truncated')
    expect(scan(paths.chat, `${chat.body}data: [DONE]\n`, { clean: false })).toMatchObject({
      end: 'complete',
      terminatorAt: bytesOf(chat.body).length,
    })
  })

  it.each([
    'data: [DONE',
    'data: DONE\n\n',
    'data: "[DONE]"\n\n',
    ': [DONE]\n\n',
    'id: [DONE]\n\n',
    'data: x\ndata: [DONE]\n\n',
    '[DONE]\n\n',
    'data: ["DONE"]\n\n',
    ' data: [DONE]\n\n',
    `data: [DONE]${' '.repeat(40)}x\n\n`,
  ])('does not end with %j', (end) => {
    expect(scan(paths.chat, chat.body + end)).toMatchObject({ end: 'truncated', terminatorAt: undefined })
  })

  it('knows the terminator as soon as its line is whole', () => {
    const scanner = scannerFor(paths.chat)
    scanner.push(bytesOf('data: {}\n\n: c\ndata: [DONE]'))
    expect(scanner.terminatorAt).toBeUndefined()
    scanner.push(bytesOf('\n'))
    expect(scanner.terminatorAt).toBe(10)
    expect(scanner.atEventEnd).toBe(false)
  })
})

describe('OpenAI responses', () => {
  it.each(['completed', 'failed', 'incomplete'])('ends with response.%s, named by either', (word) => {
    const type = `response.${word}`
    const value = { type, response: { id: 'r', error: { code: 'server_error' } } }
    for (const end of [
      event(value, type),
      event(value),
      event({}, type),
      `event: ${type}\ndata: not json\n\n`,
      `data: ${JSON.stringify(value)}\nevent: ${type}\n\n`,
    ]) {
      expect(scan(paths.responses, responses.body + end, { clean: false })).toMatchObject({
        end: 'complete',
        failed: false,
      })
    }
  })

  it('is failed by the error event that comes before response.failed', () => {
    const tail =
      event({ type: 'error', code: 'server_error', message: 'x' }, 'error') +
      event({ type: 'response.failed' }, 'response.failed')
    expect(scan(paths.responses, responses.body + tail).end).toBe('failed')
  })
})

describe('a typed terminator', () => {
  const line = 'event: message_stop\ndata: {"type":"message_stop"}\n'

  it('is known with its data line, so that no reader gets it early, and counts after a break only with its blank line', () => {
    const at = bytesOf(messages.body).length
    expect(scan(paths.anthropic, messages.body + line)).toMatchObject({ end: 'complete', terminatorAt: at })
    expect(scan(paths.anthropic, messages.body + line, { clean: false })).toMatchObject({
      end: 'truncated',
      terminatorAt: at,
    })
    expect(scan(paths.anthropic, `${messages.body}${line}\n`, { clean: false })).toMatchObject({
      end: 'complete',
      terminatorAt: at,
    })
    expect(scan(paths.anthropic, messages.body + line.trimEnd()).end).toBe('complete')
  })

  it.each([
    'event: message_stop\n\n',
    'event: message_stop\n',
    'event: message_stop\ndata: {"type":"mess',
    'data: {"type":"message_stop"\n\n',
    'data: x {"type":"message_stop"}\n\n',
    'data: {"type":["message_stop"]}\n\n',
    'data: [{"type":"message_stop"}]\n\n',
    'data: {"type":"message_stopped"}\n\n',
    'data: message_stop\n\n',
  ])('is not %j', (tail) => {
    expect(scan(paths.anthropic, messages.body + tail)).toMatchObject({ end: 'truncated', terminatorAt: undefined })
  })

  it('may be spread over several data lines', () => {
    expect(scan(paths.anthropic, `${messages.body}data: {\ndata: "type":\ndata:"message_stop"}\n\n`).end).toBe(
      'complete',
    )
  })
})
