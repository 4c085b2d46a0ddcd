/** Result lines, in the batch-output format of the provider whose input the file is. */
import { fieldValue } from 'oncekey/http'
import type { Dialect } from './request.ts'
import type { Failure, Verdict } from './verdict.ts'

/** What a result line is about. */
export interface ResultOf {
  readonly dialect: Dialect
  readonly id: string
  readonly customId: string
}

type Whole = Extract<Verdict, { kind: 'done' }>['answer']

/**
 * A result as one line with its line feed. The provider's body is taken over as it came. OpenAI: `{id, custom_id,
 * response, error}`. Anthropic: `{custom_id, result}`, and the same `id`, by which a later run knows its own lines.
 */
export function doneLine(of: ResultOf, answer: Whole): Buffer {
  const body = bodyText(answer)
  return of.dialect === 'openai'
    ? openaiLine(of, responseText(answer, body), 'null')
    : anthropicLine(of, `{"type":"succeeded","message":${body}}`)
}

/** A line that failed: what the provider said, or what Oncekey has to say. */
export function failedLine(of: ResultOf, failure: Failure): Buffer {
  if (of.dialect === 'openai') {
    if (failure.kind === 'answer') return openaiLine(of, responseText(failure.answer, bodyText(failure.answer)), 'null')
    const { code, message } = failure
    return openaiLine(of, 'null', JSON.stringify({ code, message }))
  }
  if (failure.kind === 'answer') return anthropicLine(of, `{"type":"errored","error":${bodyText(failure.answer)}}`)
  const { code, message } = failure
  const error = { type: 'error', error: { type: code, message }, request_id: null }
  return anthropicLine(of, `{"type":"errored","error":${JSON.stringify(error)}}`)
}

/** Is a result line of a run of ours one of a line that succeeded? */
export function succeeded(line: Readonly<Record<string, unknown>>): boolean {
  const { response, error, result } = line as {
    response?: { status_code?: unknown } | null
    error?: unknown
    result?: { type?: unknown } | null
  }
  if (result !== undefined) return result?.type === 'succeeded'
  return error === null && Number(response?.status_code ?? 500) < 300
}

function openaiLine({ id, customId }: ResultOf, response: string, error: string): Buffer {
  const named = `"id":${JSON.stringify(id)},"custom_id":${JSON.stringify(customId)}`
  return Buffer.from(`{${named},"response":${response},"error":${error}}\n`)
}

function anthropicLine({ id, customId }: ResultOf, result: string): Buffer {
  return Buffer.from(`{"custom_id":${JSON.stringify(customId)},"result":${result},"id":${JSON.stringify(id)}}\n`)
}

function responseText({ status, headers }: Whole, body: string): string {
  const requestId = fieldValue(headers, 'x-request-id') ?? fieldValue(headers, 'request-id') ?? null
  return `{"status_code":${status},"request_id":${JSON.stringify(requestId)},"body":${body}}`
}

/** The body as JSON in one line: line ends stand only between the tokens of JSON, where a space is as good. */
function bodyText({ body }: Whole): string {
  const text = body.toString()
  try {
    JSON.parse(text)
    return text.trim().replace(/[\r\n]+/g, ' ')
  } catch {
    const isText = Buffer.from(text).equals(body)
    return JSON.stringify(isText ? text : { base64: body.toString('base64') })
  }
}
