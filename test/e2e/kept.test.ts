/** Batches and files beyond their creation: what asks about them passes through as it is and leaves no record. */
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { freshKey, type Gateway, recordsOf, Stage } from './harness.ts'

const stage = new Stage()
let sandbox: Sandbox
let gateway: Gateway
let store: string

beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(async () => {
  sandbox.reset()
  store = stage.store()
  gateway = await stage.gateway({ upstream: sandbox.url, store })
})
afterAll(() => stage.close())

/** How an answer came about, of what the SDKs hand out with it. */
const how = ({ response }: { response: Response }): string | null => response.headers.get('idempotency-status')
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer())
const line = () => toFile(new TextEncoder().encode('{"custom_id":"one"}\n'), 'wishes.jsonl')

/** Clients that send one key with every request, as a careless user configures them. */
const openaiAt = (url: string) =>
  new OpenAI({ apiKey: 'sk-test', baseURL: `${url}/v1`, defaultHeaders: { 'Idempotency-Key': freshKey() } })
const anthropicAt = (url: string) =>
  new Anthropic({ apiKey: 'sk-ant-test', baseURL: url, defaultHeaders: { 'Idempotency-Key': freshKey() } })

interface Kept {
  readonly id: string
  readonly data: readonly { readonly id: string }[]
}
type Asked = Promise<{ data: unknown; response: Response }>

interface Reader {
  /** Creates it; answers its id. */
  create(): Promise<string>
  retrieve(id: string): Asked
  list(): Asked
  cancel?(id: string): Asked
  delete?(id: string): Asked
  download?(id: string): Promise<Response>
}

const readers: readonly (readonly [string, (url: string) => Reader])[] = [
  [
    'batches of openai',
    (url) => {
      const { batches } = openaiAt(url)
      const wish = { input_file_id: 'file-1', endpoint: '/v1/responses', completion_window: '24h' } as const
      return {
        create: async () => (await batches.create(wish)).id,
        retrieve: (id) => batches.retrieve(id).withResponse(),
        list: () => batches.list().withResponse(),
        cancel: (id) => batches.cancel(id).withResponse(),
      }
    },
  ],
  [
    'batches of @anthropic-ai/sdk',
    (url) => {
      const { batches } = anthropicAt(url).messages
      const params = { model: 'pretend-1', max_tokens: 9, messages: [{ role: 'user', content: 'hello' }] } as const
      return {
        create: async () =>
          (
            await batches.create({
              requests: [{ custom_id: 'one', params: { ...params, messages: [...params.messages] } }],
            })
          ).id,
        retrieve: (id) => batches.retrieve(id).withResponse(),
        list: () => batches.list().withResponse(),
        cancel: (id) => batches.cancel(id).withResponse(),
      }
    },
  ],
  [
    'files of openai',
    (url) => {
      const { files } = openaiAt(url)
      return {
        create: async () => (await files.create({ file: await line(), purpose: 'batch' })).id,
        retrieve: (id) => files.retrieve(id).withResponse(),
        list: () => files.list().withResponse(),
        delete: (id) => files.delete(id).withResponse(),
        download: (id) => files.content(id),
      }
    },
  ],
  [
    'files of @anthropic-ai/sdk',
    (url) => {
      const { files } = anthropicAt(url).beta
      return {
        create: async () => (await files.upload({ file: await line() })).id,
        retrieve: (id) => files.retrieveMetadata(id).withResponse(),
        list: () => files.list().withResponse(),
        delete: (id) => files.delete(id).withResponse(),
        download: (id) => files.download(id),
      }
    },
  ],
]

/** Those of them that have this call. */
const having = (call: keyof Reader) => readers.filter(([, reader]) => reader('http://127.0.0.1')[call] !== undefined)

describe.each(readers)('%s', (_, reader) => {
  test('a creation is recorded once; what is asked afterwards passes, though it carries the same key', async () => {
    const through = reader(gateway.url)
    const id = await through.create()
    expect(await through.create()).toBe(id)
    for (let again = 0; again < 2; again++) {
      const one = await through.retrieve(id)
      expect([how(one), (one.data as Kept).id]).toEqual(['ignored', id])
    }
    const [list, other] = [await through.list(), await through.list()]
    expect([how(list), how(other)]).toEqual(['ignored', 'ignored'])
    // Asked each time: nothing here was kept for the second.
    expect(sandbox.calls.map(({ method }) => method)).toEqual(['POST', 'GET', 'GET', 'GET', 'GET'])
    if (through.delete !== undefined) expect(how(await through.delete(id))).toBe('bypassed')
    expect(await recordsOf(stage, store)).toHaveLength(1)
    expect(sandbox.calls.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })
})

describe.each(having('download'))('%s', (_, reader) => {
  test('a content arrives as the provider sent it', async () => {
    const [through, bare] = [reader(gateway.url), reader(sandbox.url)]
    const ask = async (from: Reader, id: string) => (await from.download?.(id)) ?? new Response()
    const got = await ask(through, 'file-4711')
    expect(got.headers.get('idempotency-status')).toBe('ignored')
    const bytes = await bytesOf(got)
    expect(bytes).toHaveLength(4096)
    expect(bytes.equals(await bytesOf(await ask(bare, 'file-4711')))).toBe(true)
    expect(bytes.equals(await bytesOf(await ask(through, 'file-4712')))).toBe(false)
    expect(await recordsOf(stage, store)).toEqual([])
  })
})

describe.each(having('cancel'))('%s', (_, reader) => {
  test('a cancel, which is a POST, is an operation of its own under the key: made once, and replayed', async () => {
    const through = reader(gateway.url)
    const id = await through.create()
    const cancel = through.cancel as NonNullable<Reader['cancel']>
    const [one, again] = [await cancel(id), await cancel(id)]
    expect([how(one), how(again)]).toEqual(['executed', 'replayed'])
    expect((one.data as Kept).id).toBe(id)
    expect(again.data).toEqual(one.data)
    expect(JSON.stringify(one.data)).toMatch(/"cancell?ing"/)
    expect(sandbox.calls).toHaveLength(2)
  })
})
