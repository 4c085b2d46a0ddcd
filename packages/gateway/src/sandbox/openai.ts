/** OpenAI's answers: chat completions, embeddings, transcriptions, models, files and batches. */
import { type Answer, type Asked, deltas, errorValue, type StreamPart, toolCall, wholeText } from './answer.ts'
import { isObject } from './request.ts'
import type { ToolCall } from './wishes.ts'

/** Fixed, as answers differ by call number and id, not by when they were made. */
export const createdAt = 1_760_000_000

/** `POST …/chat/completions`, whole or streamed. */
export function chatCompletion(asked: Asked): Answer {
  const { json, model } = asked.request
  if (json?.stream === true) return chatStream(asked)
  const call = toolCall(asked)
  const said =
    call === undefined ? { content: wholeText(asked) } : { content: null, tool_calls: toolCalls(asked, call) }
  const message = { role: 'assistant', ...said, refusal: null, annotations: [] }
  return ok({
    id: `chatcmpl-${asked.id}`,
    object: 'chat.completion',
    created: createdAt,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: call === undefined ? 'stop' : 'tool_calls' }],
    usage: chatUsage(asked),
    service_tier: 'default',
    system_fingerprint: `fp_${asked.n}`,
  })
}

function chatStream(asked: Asked): Answer {
  const { json, model } = asked.request
  const withUsage = isObject(json?.stream_options) && json.stream_options.include_usage === true
  const chunk = (choices: readonly object[], usage: object | null): StreamPart => ({
    data: JSON.stringify({
      id: `chatcmpl-${asked.id}`,
      object: 'chat.completion.chunk',
      created: createdAt,
      model,
      service_tier: 'default',
      system_fingerprint: `fp_${asked.n}`,
      choices,
      ...(withUsage ? { usage } : {}),
    }),
  })
  const choice = (delta: object, finish: string | null): object => ({
    index: 0,
    delta,
    logprobs: null,
    finish_reason: finish,
  })
  function* parts(): Generator<StreamPart> {
    yield chunk([choice({ role: 'assistant', content: '', refusal: null }, null)], null)
    const call = toolCall(asked)
    if (call !== undefined) yield chunk([choice({ tool_calls: toolCalls(asked, call) }, null)], null)
    else for (const content of deltas(asked)) yield chunk([choice({ content }, null)], null)
    yield chunk([choice({}, call === undefined ? 'stop' : 'tool_calls')], null)
    if (withUsage) yield chunk([], chatUsage(asked))
  }
  return {
    kind: 'stream',
    tellsUsage: withUsage,
    framing: 'events',
    crlf: false,
    parts,
    terminator: { data: '[DONE]' },
    error: {
      data: JSON.stringify(errorValue('openai', 500, `The pretend provider broke in call ${asked.n}.`, asked.id)),
    },
  }
}

function toolCalls(asked: Asked, { name, args }: ToolCall): readonly object[] {
  return [{ index: 0, id: `call_${asked.id}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }]
}

function chatUsage({ tokens }: Asked): object {
  return {
    prompt_tokens: tokens.input,
    completion_tokens: tokens.output,
    total_tokens: tokens.input + tokens.output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

/** `POST …/embeddings`: three numbers an input, the first one being the call's; base64 where it is asked for. */
export function embeddings(asked: Asked): Answer {
  const { json, model } = asked.request
  const inputs = Array.isArray(json?.input) ? json.input.length : 1
  const vector = Float32Array.of(asked.n, Number.parseInt(asked.id.slice(0, 4), 16), 1)
  const embedding = json?.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector]
  return ok({
    object: 'list',
    data: Array.from({ length: inputs }, (_, index) => ({ object: 'embedding', index, embedding })),
    model,
    usage: { prompt_tokens: asked.tokens.input, total_tokens: asked.tokens.input },
  })
}

/** `POST …/audio/transcriptions`. */
export function transcription(asked: Asked): Answer {
  const usage = { type: 'tokens', input_tokens: asked.tokens.input, output_tokens: asked.tokens.output }
  return ok({ text: wholeText(asked), usage: { ...usage, total_tokens: asked.tokens.input + asked.tokens.output } })
}

/** `POST …/audio/speech`: bytes of every value, no text in any coding. */
export function speech(asked: Asked): Answer {
  return { kind: 'bytes', contentType: 'audio/mpeg', length: asked.behaviour.size ?? 4096 }
}

/** `GET …/models`, or one of them. */
export function models(_asked: Asked, name: string | undefined): Answer {
  const model = (id: string): object => ({ id, object: 'model', created: createdAt, owned_by: 'oncekey-sandbox' })
  return ok(name === undefined ? { object: 'list', data: [model('pretend-1'), model('pretend-mini')] } : model(name))
}

/** `POST …/files` and what is asked about one afterwards. */
export function file(asked: Asked, name: string | undefined): Answer {
  const id = name ?? `file-${asked.id}`
  if (asked.request.method === 'DELETE') return ok({ id, object: 'file', deleted: true })
  const size = { bytes: asked.request.bodyBytes, created_at: createdAt, filename: `file-${asked.n}.jsonl` }
  return ok({ id, object: 'file', ...size, purpose: 'batch', status: 'processed' })
}

/** `POST …/batches` and what is asked about one afterwards. */
export function batch(asked: Asked, name: string | undefined): Answer {
  const { json } = asked.request
  const kept = asked.kept.find('batch', name)
  if (kept !== undefined) return ok(kept)
  const made = {
    id: name ?? `batch_${asked.id}`,
    object: 'batch',
    endpoint: json?.endpoint ?? '/v1/chat/completions',
    errors: null,
    input_file_id: json?.input_file_id ?? `file-${asked.id}`,
    completion_window: '24h',
    status: 'validating',
    created_at: Math.floor(Date.now() / 1000),
    request_counts: { total: 0, completed: 0, failed: 0 },
    metadata: json?.metadata ?? null,
  }
  if (name === undefined) asked.kept.add('batch', made)
  return ok(made)
}

/** `GET …/batches`. */
export function batches(asked: Asked): Answer {
  const query = new URLSearchParams(asked.request.path.split('?', 2)[1])
  return ok(asked.kept.page('batch', query.get('after') ?? undefined, Number(query.get('limit') ?? 20)))
}

/** A JSON answer of status 200. */
export function ok(value: object): Answer {
  return { kind: 'json', status: 200, value }
}
