/** OpenAI's two streaming APIs and all who copy them. */
import type { Provider } from './provider.ts'

/** `…/chat/completions` and `…/completions`: the stream ends with `data: [DONE]`. */
export const openaiChat: Provider = {
  format: 'openai-chat',
  endsWith: 'line',
  ownsPath: (path) => path.endsWith('/completions'),
  begins: ({ marker, members }) =>
    marker === '[DONE]' || members.object === 'chat.completion.chunk' || members.object === 'text_completion',
  finishes: ({ marker }) => marker === '[DONE]',
}

const responsesBegin = new Set(['response.created', 'response.queued', 'response.in_progress'])
/** `failed` and `incomplete` are final answers too: the same request would not be judged better by running it again. */
const responsesFinish = new Set(['response.completed', 'response.failed', 'response.incomplete'])

/** `…/responses`: typed events, named by their `event:` line or by `type`. */
export const openaiResponses: Provider = {
  format: 'openai-responses',
  endsWith: 'event',
  ownsPath: (path) => path.endsWith('/responses'),
  begins: ({ members }) => responsesBegin.has(String(members.type)) && members.response === true,
  finishes: ({ name, members }) => responsesFinish.has(name) || responsesFinish.has(String(members.type)),
}
