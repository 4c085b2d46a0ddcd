/** Anthropic's answers: a message, whole or as the events from `message_start` to `message_stop`; files and batches. */
import { type Answer, type Asked, deltas, errorValue, type StreamPart, toolCall, wholeText } from './answer.ts'
import { ok } from './openai.ts'
import type { ToolCall } from './wishes.ts'

/** `POST …/messages`. */
export function message(asked: Asked): Answer {
  const { json, model } = asked.request
  const { input, output } = asked.tokens
  const call = toolCall(asked)
  const stop = call === undefined ? 'end_turn' : 'tool_use'
  const begun = { id: `msg_${asked.id}`, type: 'message', role: 'assistant', model }
  const usage = {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
  }
  if (json?.stream !== true) {
    const said = { type: 'text', text: wholeText(asked), citations: null }
    const content = [call === undefined ? said : { ...toolUse(asked, call), input: call.args }]
    return ok({ ...begun, content, stop_reason: stop, stop_sequence: null, usage })
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
    const block = call === undefined ? { type: 'text', text: '' } : { ...toolUse(asked, call), input: {} }
    yield typed('content_block_start', { index: 0, content_block: block })
    yield typed('ping', {})
    if (call !== undefined) {
      const delta = { type: 'input_json_delta', partial_json: JSON.stringify(call.args) }
      yield typed('content_block_delta', { index: 0, delta })
    } else
      for (const text of deltas(asked))
        yield typed('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })
    yield typed('content_block_stop', { index: 0 })
    yield typed('message_delta', {
      delta: { stop_reason: stop, stop_sequence: null },
      usage: { output_tokens: output },
    })
  }
  const broke = errorValue('anthropic', 529, `The pretend provider broke in call ${asked.n}.`, asked.id)
  return {
    kind: 'stream',
    tellsUsage: true,
    framing: 'events',
    crlf: false,
    parts,
    terminator: typed('message_stop', {}),
    error: { name: 'error', data: JSON.stringify(broke) },
  }
}

function toolUse(asked: Asked, call: ToolCall): object {
  return { type: 'tool_use', id: `toolu_${asked.id}`, name: call.name }
}

/** When all that is kept was made; answers differ by id. */
const created = '2025-10-09T08:53:20Z'

/** `POST …/messages/batches` and what is asked about one afterwards. */
export function messageBatch(asked: Asked, name: string | undefined): Answer {
  const kept = asked.kept.find('message_batch', name)
  if (kept !== undefined) return ok(kept)
  const requests = asked.request.json?.requests
  const processing = Array.isArray(requests) ? requests.length : 0
  const made = {
    id: name ?? `msgbatch_${asked.id}`,
    type: 'message_batch',
    processing_status: 'in_progress',
    request_counts: { processing, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date().toISOString(),
    expires_at: new Date(Date.now() + 86_400_000).toISOString(),
    archived_at: null,
    cancel_initiated_at: null,
    ended_at: null,
    results_url: null,
  }
  if (name === undefined) asked.kept.add('message_batch', made)
  return ok(made)
}

/** `GET …/messages/batches`. */
export function messageBatches(asked: Asked): Answer {
  const query = new URLSearchParams(asked.request.path.split('?', 2)[1])
  return ok(asked.kept.page('message_batch', query.get('after_id') ?? undefined, Number(query.get('limit') ?? 20)))
}

/** `POST …/files` of a client of Anthropic's. */
export function keptFile(asked: Asked, name: string | undefined): Answer {
  const id = name ?? `file_${asked.id}`
  if (asked.request.method === 'DELETE') return ok({ id, type: 'file_deleted' })
  const size = { size_bytes: asked.request.bodyBytes, mime_type: 'text/plain', filename: `file-${asked.n}.txt` }
  return ok({ id, type: 'file', ...size, created_at: created, downloadable: false })
}
