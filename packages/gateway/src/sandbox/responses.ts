/** OpenAI's Responses API: whole, or as the typed events its clients build the response from. */
import { type Answer, type Asked, deltas, type StreamPart, toolCall, wholeText } from './answer.ts'
import { createdAt, ok } from './openai.ts'
import type { ToolCall } from './wishes.ts'

/** `POST …/responses`. */
export function response(asked: Asked): Answer {
  if (asked.request.json?.stream !== true) return ok(responseValue(asked, 'completed', wholeText(asked)))
  const call = toolCall(asked)
  let sequence = 0
  let text = ''
  const typed = (type: string, members: object): StreamPart => ({
    name: type,
    data: JSON.stringify({ type, sequence_number: sequence++, ...members }),
  })
  const place = { item_id: `msg_${asked.id}`, output_index: 0, content_index: 0 }
  function* parts(): Generator<StreamPart> {
    sequence = 0
    text = ''
    yield typed('response.created', { response: responseValue(asked, 'in_progress', undefined) })
    yield typed('response.in_progress', { response: responseValue(asked, 'in_progress', undefined) })
    if (call !== undefined) return yield* callParts(asked, call, typed)
    yield typed('response.output_item.added', { output_index: 0, item: item(asked, 'in_progress', undefined) })
    yield typed('response.content_part.added', { ...place, part: content('') })
    for (const delta of deltas(asked)) {
      text += delta
      yield typed('response.output_text.delta', { ...place, delta, logprobs: [] })
    }
    yield typed('response.output_text.done', { ...place, text, logprobs: [] })
    yield typed('response.content_part.done', { ...place, part: content(text) })
    yield typed('response.output_item.done', { output_index: 0, item: item(asked, 'completed', text) })
  }
  return {
    kind: 'stream',
    tellsUsage: true,
    framing: 'events',
    crlf: false,
    parts,
    // Both are made when they are sent: their text and number depend on what came before.
    get terminator() {
      return typed('response.completed', { response: responseValue(asked, 'completed', text) })
    },
    get error() {
      return typed('error', {
        code: 'server_error',
        message: `The pretend provider broke in call ${asked.n}.`,
        param: null,
      })
    },
  }
}

function* callParts(
  asked: Asked,
  call: ToolCall,
  typed: (type: string, members: object) => StreamPart,
): Generator<StreamPart> {
  const done = functionCall(asked, call)
  const where = { item_id: done.id, output_index: 0 }
  const item = { ...done, status: 'in_progress', arguments: '' }
  yield typed('response.output_item.added', { output_index: 0, item })
  yield typed('response.function_call_arguments.delta', { ...where, delta: done.arguments })
  yield typed('response.function_call_arguments.done', { ...where, arguments: done.arguments, name: done.name })
  yield typed('response.output_item.done', { output_index: 0, item: done })
}

function functionCall(asked: Asked, { name, args }: ToolCall): { id: string; name: string; arguments: string } {
  const called = { type: 'function_call', call_id: `call_${asked.id}`, status: 'completed' }
  return { ...called, id: `fc_${asked.id}`, name, arguments: JSON.stringify(args) }
}

function content(text: string): object {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}

function item(asked: Asked, status: string, text: string | undefined): object {
  return {
    id: `msg_${asked.id}`,
    type: 'message',
    status,
    role: 'assistant',
    content: text === undefined ? [] : [content(text)],
  }
}

function responseValue(asked: Asked, status: string, text: string | undefined): object {
  const { tokens, request } = asked
  const call = toolCall(asked)
  const usage = {
    input_tokens: tokens.input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: tokens.output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: tokens.input + tokens.output,
  }
  return {
    id: `resp_${asked.id}`,
    object: 'response',
    created_at: createdAt,
    status,
    error: null,
    incomplete_details: null,
    instructions: null,
    metadata: request.json?.metadata ?? {},
    model: request.model,
    output: text === undefined ? [] : [call === undefined ? item(asked, 'completed', text) : functionCall(asked, call)],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    usage: text === undefined ? null : usage,
  }
}
