// The callers of the soak: each does one thing after another, of every kind there is, until the time is over.
import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

let keys = 0
const freshKey = () => `soak-${process.pid}-${++keys}`

/** One request; `hangUpMs` destroys it after so long, `slow` takes its answer in small sips. */
function ask(
  port,
  agent,
  { key, body, words, headers = {}, hangUpMs, slow, method = 'POST', path = '/v1/chat/completions' },
) {
  const text = method === 'POST' ? JSON.stringify(body) : ''
  const sent = {
    Authorization: `Bearer tenant-${keys % 7}`,
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
    ...(key === undefined ? {} : { 'Idempotency-Key': key }),
    ...(words === undefined ? {} : { 'X-Sandbox': words }),
    ...headers,
  }
  return new Promise((resolve) => {
    const request = httpRequest({ host: '127.0.0.1', port, agent, method, path, headers: sent }, (response) => {
      const chunks = []
      response.on('data', (bytes) => {
        chunks.push(bytes)
        if (!slow) return
        response.pause()
        setTimeout(() => response.resume(), 50)
      })
      const end = () =>
        resolve({
          status: response.statusCode,
          how: response.headers['idempotency-status'],
          bytes: Buffer.concat(chunks),
          whole: response.complete,
        })
      response.on('close', end)
      response.on('error', () => undefined)
    })
    request.on('error', (error) =>
      resolve({ status: 0, how: undefined, bytes: Buffer.alloc(0), whole: false, error: error.code }),
    )
    if (hangUpMs !== undefined) setTimeout(() => request.destroy(), hangUpMs)
    request.end(text)
  })
}

const chat = (more = {}) => ({
  model: 'pretend-1',
  messages: [{ role: 'user', content: `question ${freshKey()}` }],
  ...more,
})
const stream = { stream: true, stream_options: { include_usage: true } }

/** What can happen, each with what has to come of it. Answers a complaint, or nothing. */
const kinds = {
  async whole(port, agent) {
    const { status, whole } = await ask(port, agent, { key: freshKey(), body: chat(), words: 'delay=40' })
    return status === 200 && whole ? undefined : `whole: ${status}`
  },
  async stream(port, agent) {
    const { status, whole, bytes } = await ask(port, agent, {
      key: freshKey(),
      body: chat(stream),
      words: 'events=20, gap=30',
    })
    return status === 200 && whole && bytes.includes('[DONE]') ? undefined : `stream: ${status} ${whole}`
  },
  async join(port, agent) {
    const asked = { key: freshKey(), body: chat(stream), words: 'events=20, gap=30' }
    const authorized = { headers: { Authorization: 'Bearer joiner' } }
    const first = ask(port, agent, { ...asked, ...authorized })
    await sleep(150)
    const [one, two] = await Promise.all([first, ask(port, new Agent(), { ...asked, ...authorized })])
    // On a busy machine the second may be the first to arrive.
    const executed = [one, two].filter(({ how }) => how === 'executed').length
    return one.bytes.equals(two.bytes) && executed === 1 ? undefined : `join: ${one.how} ${two.how}`
  },
  async replay(port, agent) {
    const asked = { key: freshKey(), body: chat(), headers: { Authorization: 'Bearer again' } }
    const [one, two] = [await ask(port, agent, asked), await ask(port, agent, asked)]
    return two.how === 'replayed' && one.bytes.equals(two.bytes)
      ? undefined
      : `replay: ${one.status} ${two.status} ${two.how}`
  },
  async hangUp(port) {
    const asked = {
      key: freshKey(),
      body: chat(stream),
      words: 'events=20, gap=30',
      headers: { Authorization: 'Bearer gone' },
    }
    await ask(port, false, { ...asked, hangUpMs: 200 })
    const { status, how, whole } = await ask(port, false, asked)
    // Hung up before it had arrived: then the second is the first.
    return status === 200 && whole ? undefined : `hang-up: ${status} ${how}`
  },
  async slow(port) {
    const { whole, bytes } = await ask(port, false, { key: freshKey(), body: chat(), words: 'size=400000', slow: true })
    return whole && bytes.length === 400_000 ? undefined : `slow reader: ${bytes.length}`
  },
  async keyless(port) {
    const body = chat()
    const asked = { body, words: 'delay=300', headers: { Authorization: 'Bearer keyless' } }
    const count = (n) => ({ ...asked, headers: { ...asked.headers, 'X-Stainless-Retry-Count': String(n) } })
    await ask(port, false, { ...count(0), hangUpMs: 150 })
    const { status, how } = await ask(port, false, count(1))
    return status === 200 ? undefined : `keyless retry: ${status} ${how}`
  },
  async refused(port, agent) {
    const key = freshKey()
    const headers = { Authorization: 'Bearer refused' }
    const body = chat()
    const one = await ask(port, agent, { key, body, headers, words: 'status=429, retry-after=1' })
    const two = await ask(port, agent, { key, body, headers })
    return one.status === 429 && two.how === 'executed' ? undefined : `429: ${one.status} ${two.status}`
  },
  async passed(port, agent) {
    const { status } = await ask(port, agent, { method: 'GET', path: '/v1/models' })
    return status > 0 ? undefined : 'passed through: no answer'
  },
}

/** Runs so many callers for so long; answers how often each kind was done, and the complaints. */
export async function runCallers({ port, connections, forMs, pauseMs }) {
  const endMs = performance.now() + forMs
  const done = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0]))
  const complaints = []
  const names = Object.keys(kinds)
  const caller = async (number) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    // Not all at once, which would be another test.
    await sleep((pauseMs * number) / connections)
    for (let turn = number; performance.now() < endMs; turn++) {
      const kind = names[turn % names.length]
      const complaint = await kinds[kind](port, agent)
      done[kind] += 1
      if (complaint !== undefined) complaints.push(complaint)
      await sleep(pauseMs * (0.5 + Math.random()))
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: connections }, (_, number) => caller(number)))
  return { done, complaints }
}
