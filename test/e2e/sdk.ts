/** One face for the official SDKs, which are used as they are: only the base URL and headers are given. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { toFile } from 'openai'
import type { Stage } from './harness.ts'
import { perform } from './openai.ts'

/** What is called; `raw` is the plain call whose body is read as bytes. */
export type Kind = 'plain' | 'stream' | 'responses' | 'responsesStream' | 'embeddings' | 'transcription' | 'raw'

/** One call through an SDK. */
export interface Ask {
  readonly kind: Kind
  /** Without `/v1`. */
  readonly baseURL: string
  readonly prompt: string
  readonly key?: string
  readonly timeoutMs?: number
  /** Automatic retries; default: the SDK's own. */
  readonly retries?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** What the user of the SDK got: all of the text, or some of it and an error. `raw` is base64. */
export interface Told {
  text: string
  /** `Idempotency-Status` of the answer. */
  how: string | null
  /** `Idempotent-Replayed` of the answer. */
  replayed: string | null
  error?: { name: string; status?: number; code?: string; message: string }
}

/** An SDK that is ready. */
export interface Sdk {
  readonly kinds: readonly Kind[]
  /** The plain call as `fetch` sends it. */
  readonly request: (prompt: string) => { path: string; body: object }
  ask(ask: Ask): Promise<Told>
}

const openaiKinds = ['plain', 'stream', 'responses', 'responsesStream', 'embeddings', 'transcription'] as const

const openaiRequest: Sdk['request'] = (prompt) => ({
  path: '/v1/chat/completions',
  body: { model: 'pretend-1', messages: [{ role: 'user', content: prompt }] },
})

/** `openai` 6 in this process. */
export const openai6: Sdk = {
  kinds: openaiKinds,
  request: openaiRequest,
  ask: (ask) => perform(OpenAI, toFile, ask),
}

/** `openai` 7, which needs Node 22, in a child process on the binary that npm installs. */
export async function openai7(stage: Stage): Promise<Sdk> {
  const program = stage.program(node22(), [fileURLToPath(new URL('openai7.mjs', import.meta.url))], 'pipe')
  const waiting = new Map<number, (told: Told) => void>()
  const ready = new Promise<string>((resolve, reject) => {
    const { stdout } = program.child
    if (stdout === null) throw new Error('no stdout')
    createInterface({ input: stdout }).on('line', (line) => {
      const { id, told, node } = JSON.parse(line) as { id: number; told: Told; node?: string }
      if (node !== undefined) resolve(node)
      waiting.get(id)?.(told)
    })
    void program.exited.then(() => reject(new Error(`openai 7 ended on Node 22: ${program.stderr}`)))
  })
  const version = await ready
  if (Number.parseInt(version, 10) < 22) throw new Error(`openai 7 needs Node 22; its binary is Node ${version}.`)
  let asked = 0
  return {
    kinds: openaiKinds,
    request: openaiRequest,
    ask: (ask) =>
      new Promise((resolve, reject) => {
        asked += 1
        waiting.set(asked, resolve)
        program.child.stdin?.write(`${JSON.stringify({ id: asked, ask })}\n`)
        void program.exited.then(() => reject(new Error(`openai 7 ended: ${program.stderr}`)))
      }),
  }
}

function node22(): string {
  const name = `node-${process.platform}-${process.arch}`
  const missing = `openai 7 needs Node 22, which the npm package ${name} brings. Run npm ci with optional dependencies; on a platform that has no such package, install one and add it to optionalDependencies.`
  let manifest: string
  try {
    manifest = createRequire(import.meta.url).resolve(`${name}/package.json`)
  } catch {
    throw new Error(missing)
  }
  const binary = join(dirname(manifest), 'bin', 'node')
  if (!existsSync(binary)) throw new Error(missing)
  return binary
}

/** `@anthropic-ai/sdk` in this process. */
export const anthropic: Sdk = {
  kinds: ['plain', 'stream'],
  request: (prompt) => ({
    path: '/v1/messages',
    body: messageOf(prompt),
  }),
  ask: askAnthropic,
}

function messageOf(prompt: string): Anthropic.MessageCreateParamsNonStreaming {
  return { model: 'pretend-1', max_tokens: 64, messages: [{ role: 'user', content: prompt }] }
}

async function askAnthropic(ask: Ask): Promise<Told> {
  const client = new Anthropic({ apiKey: 'sk-ant-test', baseURL: ask.baseURL })
  const told: Told = { text: '', how: null, replayed: null }
  const options = {
    headers: { ...(ask.key === undefined ? {} : { 'Idempotency-Key': ask.key }), ...ask.headers },
    ...(ask.timeoutMs === undefined ? {} : { timeout: ask.timeoutMs }),
    ...(ask.retries === undefined ? {} : { maxRetries: ask.retries }),
  }
  const note = ({ headers }: Response): void => {
    told.how = headers.get('idempotency-status')
    told.replayed = headers.get('idempotent-replayed')
  }
  const message = messageOf(ask.prompt)
  try {
    if (ask.kind === 'plain') {
      const { data, response } = await client.messages.create(message, options).withResponse()
      note(response)
      told.text = data.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
    } else if (ask.kind === 'stream') {
      const { data, response } = await client.messages.create({ ...message, stream: true }, options).withResponse()
      note(response)
      for await (const event of data)
        if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') told.text += event.delta.text
    } else if (ask.kind === 'raw') {
      const response = await client.messages.create(message, options).asResponse()
      note(response)
      told.text = Buffer.from(await response.arrayBuffer()).toString('base64')
    } else {
      throw new Error(`Anthropic has no ${ask.kind}`)
    }
  } catch (error) {
    const { name, status, message: sentence } = error as Error & { status?: number }
    told.error = { name, message: sentence, ...(status === undefined ? {} : { status }) }
  }
  return told
}
