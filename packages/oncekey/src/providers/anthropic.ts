/** Anthropic's Messages API, and those who serve it under other paths (Vertex AI, compatible servers). */
import type { Provider } from './provider.ts'

/** `…/messages`: typed events from `message_start` to `message_stop`. */
export const anthropic: Provider = {
  format: 'anthropic',
  endsWith: 'event',
  ownsPath: (path) => path.endsWith('/messages'),
  begins: ({ members }) => members.type === 'message_start' && members.message === true,
  finishes: ({ name, members }) => name === 'message_stop' || members.type === 'message_stop',
}
