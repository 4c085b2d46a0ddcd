/** The pretend provider: real SDKs understand it, it bills what it was asked, and it misbehaves exactly as told. */
import { createHash } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { gunzipSync } from 'node:zlib'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Sandbox, startSandbox } from '../src/sandbox/index.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => sandbox.close())

interface Got {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** False when the connection broke before the answer's end. */
  readonly whole: boolean
}

interface Ask {
  readonly method?: string
  readonly body?: string | Buffer
  readonly behave?: string
  readonly headers?: Record<string, string>
  /** Hang up after this many bytes of the body. */
  readonly leaveAfter?: number
}

/** Rejects when no head comes. */
function ask(path: string, { method = 'POST', body = '{}', behave, headers, leaveAfter }: Ask = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = { ...headers, ...(behave === undefined ? {} : { 'x-sandbox': behave }) }
    const request = httpRequest(sandbox.url + path, { method, headers: sent, agent: false }, (response) => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        length += chunk.length
        if (leaveAfter !== undefined && length >= leaveAfter) request.destroy()
      })
      response.on('error', () => undefined)
      response.on('close', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          whole: response.complete,
        })
      })
    })
    request.on('error', reject)
    request.end(method === 'GET' ? undefined : body)
  })
}

const chat = '/v1/chat/completions'
const stream = JSON.stringify({ model: 'm', stream: true, messages: [] })
const eventsOf = (got: Got): string[] => got.body.toString().split('\n\n').slice(0, -1)

/** The call's entry is closed when the server sees the connection end, which may be a moment after the client did. */
async function ended(index = 0): Promise<Sandbox['calls'][number]> {
  await expect.poll(() => sandbox.calls[index]?.endedAt).toBeDefined()
  return sandbox.calls[index]!
}

describe('a request with tools or a shape', () => {
  const schema = { type: 'object', properties: { note: { type: 'string' }, times: { type: 'integer' } } }
  const named = { name: 'note', parameters: schema }
  const dialects: [string, object, object][] = [
    [chat, { tools: [{ type: 'function', function: named }], messages: [] }, { messages: [{ role: 'tool' }] }],
    ['/v1/responses', { tools: [named], input: [] }, { input: [{ type: 'function_call_output' }] }],
    [
      '/v1/messages',
      { tools: [{ name: 'note', input_schema: schema }], messages: [] },
      { messages: [{ role: 'user', content: [{ type: 'tool_result' }] }] },
    ],
    [
      '/v1beta/models/m:generateContent',
      { tools: [{ functionDeclarations: [named] }], contents: [] },
      { contents: [{ parts: [{ functionResponse: {} }] }] },
    ],
  ]
  it.each(dialects)(
    '%s: calls the first tool, and says something when it has the result',
    async (path, first, more) => {
      const wanted = (await ask(path, { body: JSON.stringify(first) })).body.toString().replaceAll('\\"', '"')
      expect(wanted).toMatch(/"name":"note"/)
      expect(wanted).toMatch(/\{"note":"Answer 1 \([0-9a-f]{24}\): word 1 word 2 word 3 word 4","times":1\}/)
      const said = (await ask(path, { body: JSON.stringify({ ...first, ...more }) })).body.toString()
      expect(said).toMatch(/"(?:content|text)":"Answer 2 /)
      expect(said).not.toMatch(/"name":"note"/)
    },
  )

  it.each([
    [chat, { response_format: { json_schema: { schema } } }],
    ['/v1/responses', { text: { format: { schema } } }],
    ['/v1/messages', { output_config: { format: { schema } } }],
    ['/v1beta/models/m:generateContent', { generationConfig: { responseJsonSchema: schema } }],
  ])('%s: answers in the shape', async (path, wish) => {
    const said = (await ask(path, { body: JSON.stringify(wish) })).body.toString()
    expect(said.replaceAll('\\"', '"')).toMatch(/"\{"note":"Answer 1 [^"]* word 4","times":1\}"/)
  })
})

describe('the OpenAI SDK', () => {
  const client = (): OpenAI => new OpenAI({ apiKey: 'sk', baseURL: `${sandbox.url}/v1`, maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: 'hi' }]

  it('reads a chat completion', async () => {
    const answer = await client().chat.completions.create({ model: 'gpt-x', messages })
    expect(answer.choices[0]?.message.content).toMatch(/^Answer 1 \([0-9a-f]{24}\): word 1 word 2 word 3 word 4$/)
    expect(answer).toMatchObject({ model: 'gpt-x', usage: { completion_tokens: 20 } })
    expect(answer._request_id).toMatch(/^req_/)
  })

  it('streams a chat completion, with usage where it is asked for', async () => {
    const run = client().chat.completions.stream({ model: 'gpt-x', messages, stream_options: { include_usage: true } })
    expect(await run.finalContent()).toMatch(/^Answer 1 .* word 4$/)
    expect(await run.totalUsage()).toMatchObject({ completion_tokens: 20 })
    const plain = await ask(chat, { body: stream })
    expect(plain.body.toString()).not.toContain('"usage"')
    expect(plain.body.toString()).toMatch(/\n\ndata: \[DONE\]\n\n$/)
  })

  it('reads and streams a response', async () => {
    const answer = await client().responses.create({ model: 'gpt-x', input: 'hi', metadata: { marker: 'm1' } })
    expect(answer.output_text).toMatch(/^Answer 1 /)
    const run = client().responses.stream({ model: 'gpt-x', input: 'hi' })
    const types: string[] = []
    const numbers: number[] = []
    for await (const event of run) {
      types.push(event.type)
      numbers.push(event.sequence_number)
    }
    expect(types.at(0)).toBe('response.created')
    expect(types.at(-1)).toBe('response.completed')
    expect(numbers).toEqual(numbers.map((_, index) => index))
    expect((await run.finalResponse()).output_text).toMatch(/^Answer 2 .* word 4$/)
    expect(sandbox.calls[0]?.marker).toBe('m1')
  })

  it('embeds, transcribes, speaks, lists models, and keeps files and batches', async () => {
    const openai = client()
    const embedded = await openai.embeddings.create({ model: 'e', input: ['a', 'b'] })
    expect(embedded.data.map(({ embedding }) => embedding[0])).toEqual([1, 1])
    const file = await toFile(Buffer.from('sound'), 'a.mp3')
    const heard = await openai.audio.transcriptions.create({ model: 'whisper-x', file })
    expect(heard.text).toMatch(/^Answer 2 /)
    const said = await openai.audio.speech.create({ model: 's', voice: 'alloy', input: 'hi' })
    expect((await said.arrayBuffer()).byteLength).toBe(4096)
    expect((await openai.models.list()).data.length).toBeGreaterThan(0)
    const { id } = await openai.files.create({ file: await toFile(Buffer.from('{}'), 'f.jsonl'), purpose: 'batch' })
    const made = await openai.batches.create({
      input_file_id: id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    })
    expect(await openai.batches.retrieve(made.id)).toMatchObject({ id: made.id, object: 'batch' })
    expect(await openai.files.delete(id)).toMatchObject({ deleted: true })
    expect(sandbox.calls.map(({ costUsd }) => costUsd > 0)).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
      false,
      false,
    ])
  })

  it('sees errors as the provider words them, and retries as it is told', async () => {
    sandbox.plan(['status=429,retry-after-ms=1', 'ok'])
    const answer = await new OpenAI({ apiKey: 'sk', baseURL: `${sandbox.url}/v1` }).chat.completions.create({
      model: 'x',
      messages,
    })
    expect(answer.choices[0]?.message.content).toMatch(/^Answer 2 /)
    expect(sandbox.calls.map((call) => call.headers['x-stainless-retry-count'])).toEqual(['0', '1'])
    sandbox.plan(['status=500'])
    await expect(client().chat.completions.create({ model: 'x', messages })).rejects.toMatchObject({
      status: 500,
      type: 'server_error',
    })
    sandbox.plan(['error-event=2'])
    const run = await client().chat.completions.create({ model: 'x', messages, stream: true })
    await expect(
      (async () => {
        for await (const _ of run);
      })(),
    ).rejects.toThrow('broke in call 4')
  })
})

describe('the Anthropic SDK', () => {
  const client = (): Anthropic => new Anthropic({ apiKey: 'k', baseURL: sandbox.url, maxRetries: 0 })
  const params = { model: 'claude-x', max_tokens: 9, messages: [{ role: 'user' as const, content: 'hi' }] }

  it('reads a message and streams one', async () => {
    const answer = await client().messages.create(params)
    expect(answer.content[0]).toMatchObject({ type: 'text', text: expect.stringMatching(/^Answer 1 /) })
    expect(answer._request_id).toMatch(/^req_/)
    const streamed = await client().messages.stream(params).finalMessage()
    expect(streamed.content[0]).toMatchObject({ text: expect.stringMatching(/^Answer 2 .* word 4$/) })
    expect(streamed).toMatchObject({ stop_reason: 'end_turn', usage: { output_tokens: 20 } })
  })

  it('sees errors, before the head and in the stream', async () => {
    sandbox.plan(['status=529', 'error-event=3', 'cut=200'])
    await expect(client().messages.create(params)).rejects.toMatchObject({ status: 529, type: 'overloaded_error' })
    await expect(client().messages.stream(params).finalMessage()).rejects.toThrow('broke in call 2')
    await expect(client().messages.stream(params).finalMessage()).rejects.toThrow()
  })
})

describe('Gemini', () => {
  const path = '/v1beta/models/gemini-x:streamGenerateContent'
  interface Part {
    readonly candidates: readonly { readonly finishReason?: string }[]
  }

  it('answers whole, as events with CRLF, and as an array', async () => {
    const whole = await ask('/v1beta/models/gemini-x:generateContent')
    expect(JSON.parse(whole.body.toString())).toMatchObject({
      modelVersion: 'gemini-x',
      candidates: [{ finishReason: 'STOP' }],
    })
    const events = await ask(`${path}?alt=sse`)
    expect(events.headers['content-type']).toMatch(/^text\/event-stream/)
    expect(events.body.toString().split('\r\n\r\n')).toHaveLength(7)
    const array = await ask(path)
    expect(array.headers['content-type']).toBe('application/json')
    const parts = JSON.parse(array.body.toString()) as Part[]
    expect(parts.map(({ candidates }) => candidates[0]?.finishReason)).toEqual([...Array(5).fill(undefined), 'STOP'])
  })

  it('lacks its finishReason when it is truncated', async () => {
    for (const query of ['?alt=sse', '']) {
      const { body, whole } = await ask(path + query, { behave: 'truncate=2' })
      expect(whole).toBe(true)
      expect(body.toString().match(/word|Answer/g)).toHaveLength(2)
      expect(body.toString()).not.toContain('finishReason')
    }
  })
})

describe('the ledger', () => {
  it('keeps what was asked, and its bill is the sum of its calls', async () => {
    const body = JSON.stringify({ model: 'm', messages: [], user: 'u1' })
    await ask(`${chat}?a=1`, { body, headers: { 'X-Two': 'a', authorization: 'Bearer k' } })
    await ask(chat, { body: stream, headers: { 'x-sandbox-marker': 'm2' } })
    const call = await ended()
    expect(call).toMatchObject({
      n: 1,
      method: 'POST',
      path: `${chat}?a=1`,
      headers: { 'x-two': 'a', authorization: 'Bearer k' },
      bodySha256: createHash('sha256').update(body).digest('hex'),
      bodyBytes: body.length,
      marker: 'u1',
      aborted: false,
    })
    expect(call.bytesSent).toBeGreaterThan(100)
    expect(sandbox.calls[1]?.marker).toBe('m2')
    expect(sandbox.billUsd()).toBe(sandbox.calls[0]!.costUsd + sandbox.calls[1]!.costUsd)
    expect(sandbox.billUsd()).toBeGreaterThan(0)
  })

  it('bills what it worked on, though the client has gone, and nothing for errors unless told', async () => {
    const left = await ask(chat, { body: stream, behave: 'gap=20,events=1000', leaveAfter: 300 })
    expect(left.whole).toBe(false)
    expect(await ended()).toMatchObject({ aborted: true })
    expect(sandbox.billUsd()).toBeGreaterThan(0)
    sandbox.reset()
    await ask(chat, { behave: 'status=500' })
    await ask('/v1/nowhere')
    await ask(chat, { body: 'no json' })
    expect(sandbox.billUsd()).toBe(0)
    await ask(chat, { behave: 'status=500,billed' })
    expect(sandbox.billUsd()).toBeGreaterThan(0)
  })

  it('does not know a request whose body never came', async () => {
    await new Promise<void>((resolve) => {
      const request = httpRequest(sandbox.url + chat, {
        method: 'POST',
        headers: { 'content-length': 100 },
        agent: false,
      })
      request.on('error', () => resolve())
      request.write('{', () => setTimeout(() => request.destroy(new Error('gone')), 20))
    })
    await ask('/v1/models', { method: 'GET' })
    expect(sandbox.calls).toHaveLength(1)
  })

  it('is read, reset and planned from other processes', async () => {
    const planned = await ask('/__sandbox/plan', { body: '{"plan":["status=503"]}' })
    expect(JSON.parse(planned.body.toString())).toEqual({ planned: 1 })
    expect((await ask(chat)).status).toBe(503)
    await ask(chat)
    const { body } = await ask('/__sandbox/calls', { method: 'GET' })
    expect(JSON.parse(body.toString())).toEqual({
      billUsd: sandbox.billUsd(),
      calls: JSON.parse(JSON.stringify(sandbox.calls)),
    })
    expect(sandbox.calls).toHaveLength(2)
    await ask('/__sandbox/reset')
    expect(sandbox.calls).toHaveLength(0)
    expect((await ask('/__sandbox/plan', { body: '["hang"]' })).status).toBe(400)
    expect((await ask('/__sandbox/plan', { body: '{"plan":["hnag"]}' })).body.toString()).toContain('hnag')
    expect((await ask('/__sandbox/else')).status).toBe(404)
  })
})

describe('an answer', () => {
  it('is the same for no two calls', async () => {
    const one = await ask('/v1/audio/speech')
    const two = await ask('/v1/audio/speech')
    expect(one.body.equals(two.body)).toBe(false)
    expect(new Set(one.body).size).toBe(256)
    expect(one.headers['x-request-id']).not.toBe(two.headers['x-request-id'])
    expect(one.headers['request-id']).toBe(one.headers['x-request-id'])
  })

  it('has the size it is asked to have', async () => {
    for (const size of [1000, 65_536, 3_000_000]) {
      const json = await ask(chat, { behave: `size=${size}` })
      expect(json.body.length).toBe(size)
      expect(json.headers['content-length']).toBe(String(size))
      expect(() => JSON.parse(json.body.toString())).not.toThrow()
      expect((await ask('/v1/audio/speech', { behave: `size=${size}` })).body.length).toBe(size)
    }
    const streamed = await ask(chat, { body: stream, behave: 'size=100000,events=7' })
    expect(
      streamed.body
        .toString()
        .match(/"content":"([^"]*)"/g)
        ?.join('')
        .replaceAll('"content":', '')
        .replaceAll('"', ''),
    ).toHaveLength(100_000)
  })

  it('is framed and coded as asked', async () => {
    const chunked = await ask(chat, { behave: 'chunked' })
    expect(chunked.headers).toMatchObject({ 'transfer-encoding': 'chunked' })
    for (const [path, body] of [
      [chat, stream],
      ['/v1/responses', stream],
      ['/v1/messages', stream],
      [chat, '{}'],
    ] as const) {
      const length = await ask(path, { body, behave: 'length' })
      expect(length.headers['content-length']).toBe(String(length.body.length))
      const coded = await ask(path, { body, behave: 'gzip' })
      expect(coded.headers['content-encoding']).toBe('gzip')
      expect(gunzipSync(coded.body).toString()).toMatch(
        path === '/v1/messages' ? /message_stop/ : /\[DONE\]|completed|stop/,
      )
      const both = await ask(path, { body, behave: 'gzip,length' })
      expect(both.headers['content-length']).toBe(String(both.body.length))
    }
    expect(
      (await ask('/v1/responses', { body: stream, behave: 'length' })).body.toString().match(/word 1/g),
    ).toHaveLength(5)
  })

  it('carries the headers of its status', async () => {
    const got = await ask(chat, { behave: 'status=429, retry-after=1, retry-after-ms=5, should-retry=false' })
    expect(got).toMatchObject({
      status: 429,
      headers: { 'retry-after': '1', 'retry-after-ms': '5', 'x-should-retry': 'false' },
    })
    expect(await ask(chat, { behave: 'status=204' })).toMatchObject({ status: 204, whole: true })
    expect((await ask(chat, { behave: 'status=201' })).status).toBe(201)
    expect((await ask('/v1/nowhere')).status).toBe(404)
  })

  it('names a directive it does not know', async () => {
    for (const behave of ['cutt=1', 'cut', 'cut=x', 'gzip=1', 'status=700']) {
      const got = await ask(chat, { behave })
      expect(got.status).toBe(400)
      expect(got.body.toString()).toContain(behave.replace('status=700', '700'))
    }
    expect(() => sandbox.plan(['nonsense'])).toThrow(RangeError)
  })
})

describe('a broken answer', () => {
  it('is cut after exactly so many bytes', async () => {
    for (const cut of [0, 1, 100, 700]) {
      const got = await ask(chat, { body: stream, behave: `cut=${cut}` })
      expect(got).toMatchObject({ status: 200, whole: false })
      expect(got.body.length).toBe(cut)
    }
    expect((await ask(chat, { behave: 'cut=10' })).whole).toBe(false)
    expect((await ask(chat, { behave: 'gzip,cut=10' })).body.length).toBe(10)
    expect((await ask(chat, { behave: 'size=9000000,cut=8000000' })).body.length).toBe(8_000_000)
    expect(await ended()).toMatchObject({ aborted: false, bytesSent: 0 })
  })

  it('may have no head at all and is billed', async () => {
    await expect(ask(chat, { behave: 'cut-before-head' })).rejects.toThrow()
    expect(sandbox.billUsd()).toBeGreaterThan(0)
    expect(await ended()).toMatchObject({ aborted: false, bytesSent: 0 })
  })

  it('may end cleanly too early', async () => {
    const got = await ask(chat, { body: stream, behave: 'truncate=3' })
    expect(got.whole).toBe(true)
    expect(eventsOf(got)).toHaveLength(3)
    expect((await ask(chat, { body: stream, behave: 'truncate=0' })).body.length).toBe(0)
    const most = await ask(chat, { body: stream, behave: 'truncate=99' })
    expect(most.body.toString()).not.toContain('[DONE]')
  })

  it('may say that it failed, and go on as if nothing were', async () => {
    const got = eventsOf(await ask(chat, { body: stream, behave: 'error-event=2' }))
    expect(got).toHaveLength(3)
    expect(got[2]).toContain('data: {"error":{')
    const named = eventsOf(await ask('/v1/messages', { body: stream, behave: 'error-event=1,then-terminator' }))
    expect(named[1]).toMatch(/^event: error\n/)
    expect(named[2]).toContain('message_stop')
    expect(eventsOf(await ask('/v1/responses', { body: stream, behave: 'error-event=1' }))[1]).toContain(
      '"type":"error"',
    )
  })

  it('may break or hang after its terminator', async () => {
    for (const behave of ['cut-after-terminator', 'gzip,cut-after-terminator']) {
      const got = await ask(chat, { body: stream, behave })
      expect(got.whole).toBe(false)
      expect(got.body.length).toBeGreaterThan(100)
    }
    const got = await ask(chat, {
      body: stream,
      behave: 'close-after-terminator-hang',
      leaveAfter: (await ask(chat, { body: stream })).body.length,
    })
    expect(got.body.toString()).toMatch(/\[DONE\]\n\n$/)
    expect(await ended(2)).toMatchObject({ aborted: false })
    expect(await ended(3)).toMatchObject({ aborted: true })
  })

  it('may have other line ends, ids and no last line', async () => {
    expect((await ask(chat, { body: stream, behave: 'crlf' })).body.toString()).toMatch(
      /\r\n\r\ndata: \[DONE\]\r\n\r\n$/,
    )
    expect((await ask(chat, { body: stream, behave: 'no-newline-end' })).body.toString()).toMatch(/\n\ndata: \[DONE\]$/)
    expect((await ask(chat, { body: stream, behave: 'one-newline-end' })).body.toString()).toMatch(
      /\n\ndata: \[DONE\]\n$/,
    )
    const ids = eventsOf(await ask(chat, { body: stream, behave: 'ids,events=2' })).map(
      (event) => event.split('\n', 1)[0],
    )
    expect(ids).toEqual(['id: 1', 'id: 2', 'id: 3', 'id: 4', 'id: 5'])
  })
})

describe('time', () => {
  const timed = async (behave: string): Promise<number> => {
    const began = performance.now()
    await ask(chat, { body: stream, behave })
    return performance.now() - began
  }

  it('passes before the head, between events and once in the middle', async () => {
    expect(await timed('delay=120')).toBeGreaterThan(110)
    expect(await timed('gap=20,events=5')).toBeGreaterThan(130)
    expect(await timed('silence=120')).toBeGreaterThan(110)
    const whole = performance.now()
    await ask(chat, { behave: 'silence=120' })
    expect(performance.now() - whole).toBeGreaterThan(110)
  })

  it('passes before every head of a slow provider', async () => {
    const slow = await startSandbox({ latencyMs: 120 })
    const began = performance.now()
    await fetch(`${slow.url}/v1/models`)
    expect(performance.now() - began).toBeGreaterThan(110)
    await slow.close()
  })

  it('never comes to an end of a hanging call, but close does not wait', async () => {
    const other = await startSandbox()
    const hanging = fetch(`${other.url}${chat}`, { method: 'POST', body: '{}', headers: { 'x-sandbox': 'hang' } })
    const failed = expect(hanging).rejects.toThrow()
    await expect.poll(() => other.calls.length).toBe(1)
    await other.close()
    await failed
    expect(other.billUsd()).toBeGreaterThan(0)
  })

  it('is the client’s: a slow one is not flooded', async () => {
    const got = await new Promise<number>((resolve) => {
      const headers = { 'x-sandbox': 'size=200000000' }
      const request = httpRequest(sandbox.url + chat, { method: 'POST', headers, agent: false }, (response) => {
        response.pause()
        // Nothing is read, so what the sockets take is all that may be sent.
        let seen = 0
        const watch = setInterval(() => {
          const sent = sandbox.calls[0]!.bytesSent
          if (sent > 0 && sent === seen) {
            clearInterval(watch)
            request.destroy()
            resolve(sent)
          }
          seen = sent
        }, 50)
      })
      request.on('error', () => undefined)
      request.end('{}')
    })
    expect(got).toBeLessThan(50_000_000)
  })

  it('a port in use is an error', async () => {
    await expect(startSandbox({ port: sandbox.port })).rejects.toThrow('EADDRINUSE')
  })
})
