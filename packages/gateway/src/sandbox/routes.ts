/** Which endpoint answers a request. */
import { type Answer, type Asked, type Dialect, errorValue } from './answer.ts'
import { keptFile, message, messageBatch, messageBatches } from './anthropic.ts'
import { generateContent, streamGenerateContent } from './gemini.ts'
import { batch, batches, chatCompletion, embeddings, file, models, speech, transcription } from './openai.ts'
import { response } from './responses.ts'

/** An endpoint: what it costs and what it says. */
export interface Endpoint {
  readonly dialect: Dialect
  /** Work that is charged for. */
  readonly billed: boolean
  /** Its body has to be a JSON object. */
  readonly wantsJson: boolean
  /** Its answers are no tokens. */
  readonly saysNothing?: boolean
  readonly answer: (asked: Asked) => Answer
}

interface Route {
  readonly methods: readonly string[]
  /** Of the path without query, behind any prefix; its group is the name of a thing. */
  readonly path: RegExp
  readonly dialect: Dialect
  readonly billed: boolean
  readonly wantsJson: boolean
  readonly saysNothing?: boolean
  readonly answer: (asked: Asked, name: string | undefined) => Answer
}

const openai = { dialect: 'openai', billed: false, wantsJson: false } as const
const work = { ...openai, billed: true, wantsJson: true } as const

const routes: readonly Route[] = [
  { ...work, methods: ['POST'], path: /\/chat\/completions$/, answer: chatCompletion },
  { ...work, methods: ['POST'], path: /\/responses$/, answer: response },
  { ...work, methods: ['POST'], path: /\/embeddings$/, saysNothing: true, answer: embeddings },
  { ...work, methods: ['POST'], path: /\/audio\/transcriptions$/, wantsJson: false, answer: transcription },
  { ...work, methods: ['POST'], path: /\/audio\/speech$/, answer: speech },
  { ...work, methods: ['POST'], path: /\/messages$/, dialect: 'anthropic', answer: message },
  {
    ...work,
    methods: ['POST'],
    path: /\/models\/([^/]+):generateContent$/,
    dialect: 'gemini',
    answer: named(generateContent),
  },
  {
    ...work,
    methods: ['POST'],
    path: /\/models\/([^/]+):streamGenerateContent$/,
    dialect: 'gemini',
    answer: named(streamGenerateContent),
  },
  { ...openai, methods: ['GET'], path: /\/models(?:\/([^/]+))?$/, answer: models },
  { ...openai, methods: ['POST'], path: /\/files$/, answer: fileOf },
  { ...openai, methods: ['GET', 'DELETE'], path: /\/files\/([^/]+)$/, answer: fileOf },
  { ...work, methods: ['POST'], path: /\/messages\/batches$/, dialect: 'anthropic', answer: messageBatch },
  {
    ...openai,
    methods: ['GET'],
    path: /\/messages\/batches\/([^/]+)$/,
    dialect: 'anthropic',
    answer: messageBatch,
  },
  { ...openai, methods: ['GET'], path: /\/messages\/batches$/, dialect: 'anthropic', answer: messageBatches },
  { ...work, methods: ['POST'], path: /\/batches$/, answer: batch },
  { ...openai, methods: ['GET'], path: /\/batches$/, answer: batches },
  { ...openai, methods: ['GET'], path: /\/batches\/([^/]+)$/, answer: batch },
]

/** Both providers keep files at the same path; a client says by a header whose it is. */
function fileOf(asked: Asked, name: string | undefined): Answer {
  return asked.request.headers['anthropic-version'] === undefined ? file(asked, name) : keptFile(asked, name)
}

function named(answer: (asked: Asked, name: string) => Answer): Route['answer'] {
  return (asked, name) => answer(asked, name ?? '')
}

/** The endpoint of a method and path; one that answers 404 where there is none. */
export function endpointOf(method: string, path: string): Endpoint {
  const bare = path.split('?', 1)[0] ?? ''
  for (const route of routes) {
    const match = route.methods.includes(method) ? route.path.exec(bare) : null
    if (match !== null) return { ...route, answer: (asked) => route.answer(asked, match[1]) }
  }
  const value = (asked: Asked): object => errorValue('openai', 404, `The sandbox has no ${method} ${bare}.`, asked.id)
  return { ...openai, answer: (asked) => ({ kind: 'json', status: 404, value: value(asked) }) }
}
