/** Anthropic's answers: a message, whole or as the events from `message_start` to `message_stop`. */
import { type Answer, type Asked, deltas, errorValue, type StreamPart, wholeText } from './answer.ts'
import { ok } from './openai.ts'

/** `POST …/messages`. */
export function message(asked: Asked): Answer {
  const { json, model } = asked.request
  const { input, output } = asked.tokens
  const begun = { id: `msg_${asked.id}`, type: 'message', role: 'assistant', model }
  const usage = {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
  }
  if (json?.stream !== true) {
    const content = [{ type: 'text', text: wholeText(asked), citations: null }]
    return ok({ ...begun, content, stop_reason: 'end_turn', stop_sequence: null, usage })
  }
  const typed = (type: string, members: object): StreamPart => ({
    name: type,
    data: JSON.stringify({ type, ...members }),
  })
  function* parts(): Generator<StreamPart> {
    const empty = {
      ...begun,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...usage, output_tokens: 1 },
    }
    yield typed('message_start', { message: empty })
    yield typed('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })
    yield typed('ping', {})
    for (const text of deltas(asked))
      yield typed('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })
    yield typed('content_block_stop', { index: 0 })
    yield typed('message_delta', {
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: output },
    })
  }
  const broke = errorValue('anthropic', 529, `The pretend provider broke in call ${asked.n}.`, asked.id)
  return {
    kind: 'stream',
    framing: 'events',
    crlf: false,
    parts,
    terminator: typed('message_stop', {}),
    error: { name: 'error', data: JSON.stringify(broke) },
  }
}
