/** H1–H3: which requests are the same, what the handler gets of them, and what becomes of another one. */
import { same } from './expect.ts'
import { octets } from './http-origin.ts'
import type { HttpCase, HttpSubject, Sent } from './http-subject.ts'
import { bytesOf, concat } from './subject.ts'

const form = (boundary: string, text: string): Uint8Array =>
  concat([
    octets(`--${boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\n${text}\r\n`),
    octets(`--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n`),
    octets('Content-Type: application/octet-stream\r\n\r\n'),
    bytesOf(5_000),
    octets(`\r\n--${boundary}--\r\n`),
  ])

const multipart = (boundary: string, text = 'x'): Sent => ({
  body: form(boundary, text),
  type: `multipart/form-data; boundary=${boundary}`,
})

async function gzipped(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

/** Executes the first and expects the second, spelled otherwise, to be a replay of it. */
async function alike(s: HttpSubject, first: Sent, second: Sent): Promise<void> {
  const got = await s.send({ key: 'k', ...first })
  same(got.header('idempotency-status'), 'executed', 'the first')
  await s.replays({ key: 'k', ...second }, got)
  s.executed(1)
}

const kinds: readonly [string, Sent, Sent][] = [
  ['JSON in another order and spacing', { body: '{"a":1,"b":[2,3]}' }, { body: '{ "b": [2, 3],\n "a": 1.0 }' }],
  ['text', { body: 'Grüße\r\n', type: 'text/plain' }, { body: 'Grüße\r\n', type: 'text/plain' }],
  ['bytes', { body: bytesOf(70_000), type: 'image/png' }, { body: bytesOf(70_000), type: 'image/png' }],
  ['an empty body', { body: null }, { body: null }],
  ['multipart with another boundary', multipart('one'), multipart('two')],
  [
    'a form',
    { body: 'a=1&b=x+y', type: 'application/x-www-form-urlencoded' },
    { body: 'a=1&b=x%20y', type: 'application/x-www-form-urlencoded' },
  ],
]

const others: readonly [string, Sent, Sent][] = [
  ['another JSON value', { body: '{"a":1}' }, { body: '{"a":2}' }],
  ['an integer beyond 2^53', { body: '{"a":9007199254740993}' }, { body: '{"a":9007199254740992}' }],
  ['another byte', { body: bytesOf(1_000), type: 'image/png' }, { body: bytesOf(1_000, 2), type: 'image/png' }],
  ['another type of the same bytes', { body: 'a', type: 'text/plain' }, { body: 'a', type: 'text/html' }],
  ['a body where there was none', { body: null }, { body: '{}' }],
  ['another part', multipart('one'), multipart('one', 'y')],
  ['another query', { path: '/things?a=1' }, { path: '/things?a=2' }],
]

/** Bodies. */
export const httpBodies: readonly HttpCase[] = [
  ...kinds.map(([what, first, second]) => ({
    name: `H1 ${what} is the same request`,
    run: (s: HttpSubject) => alike(s, first, second),
  })),
  {
    name: 'H1 a body in gzip is the same request as the body in clear',
    async run(s) {
      const headers = { 'Content-Encoding': 'gzip' }
      await alike(s, { body: await gzipped('{"a":1}'), headers }, { body: '{"a":1}' })
    },
  },
  {
    name: 'H1 the parameters of a query may come in another order',
    run: (s) => alike(s, { path: '/things?a=1&b=2' }, { path: '/things?b=2&a=1' }),
  },
  ...kinds.map(
    ([what, first]) =>
      ({
        name: `H2 the handler gets the request as it was sent: ${what}`,
        origin: (call, answer) => {
          answer.head(200, { 'Content-Type': 'application/octet-stream', Location: call.target })
          answer.end(call.body)
        },
        async run(s) {
          const path = '/things?b=2&a=%20'
          const got = await s.send({ key: 'k', ...first, path })
          same(got.bytes, octets(first.body ?? ''), 'the body that the handler got')
          same(got.header('location'), path, 'the target that the handler got')
          s.executed(1)
        },
      }) satisfies HttpCase,
  ),
  {
    name: 'H2 the handler gets a coded body as it was sent',
    origin: (call, answer) => {
      answer.head(200, {
        'Content-Type': 'application/octet-stream',
        'X-Request-Id': call.header('content-encoding') ?? '',
      })
      answer.end(call.body)
    },
    async run(s) {
      const body = await gzipped('{"a":1}')
      const got = await s.send({ key: 'k', body, headers: { 'Content-Encoding': 'gzip' } })
      same([got.header('x-request-id'), got.bytes], ['gzip', body], 'what the handler got')
    },
  },
  ...others.map(([what, first, second]) => ({
    name: `H3 ${what} under the same key is refused, and the original still replays`,
    async run(s: HttpSubject) {
      const got = await s.send({ key: 'k', ...first })
      s.refused(await s.send({ key: 'k', ...second }), 422, 'fingerprint_mismatch', false)
      await s.replays({ key: 'k', ...first }, got)
      s.executed(1)
    },
  })),
  {
    name: 'H3 the same key on another path or with another method is another operation',
    options: { methods: ['POST', 'PATCH', 'PUT'] },
    async run(s) {
      for (const sent of [{}, { path: '/others' }, { method: 'PATCH' }, { method: 'PUT' }]) {
        const got = await s.send({ key: 'k', ...sent })
        same(got.header('idempotency-status'), 'executed', `${JSON.stringify(sent)}`)
      }
      s.executed(4)
    },
  },
  {
    name: 'H3 with split another request under the same key is an operation of its own',
    options: { mismatch: 'split' },
    async run(s) {
      const first = await s.send({ key: 'k', body: '{"a":1}' })
      const second = await s.send({ key: 'k', body: '{"a":2}' })
      same([first.text, second.text], ['{"execution":1}', '{"execution":2}'], 'the answers')
      await s.replays({ key: 'k', body: '{"a":1}' }, first)
      await s.replays({ key: 'k', body: '{"a":2}' }, second)
      s.executed(2)
    },
  },
]
