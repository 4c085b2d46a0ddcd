/** H4, H5: what a replay consists of, and what is never stored. */
import { holds, same } from './expect.ts'
import type { Got, HttpCase, HttpSubject, ScriptedOrigin } from './http-subject.ts'
import { bytesOf } from './subject.ts'

const finals = [200, 201, 202, 203, 204, 206, 301, 303, 304, 400, 404, 405, 406, 409, 410, 412, 415, 418, 422]

const answering =
  (status: number): ScriptedOrigin =>
  (_, answer) => {
    answer.head(status, { 'Content-Type': 'text/plain' })
    answer.end(status === 204 || status === 304 ? undefined : `this was ${status}`)
  }

const bodies: readonly [string, Uint8Array][] = [
  ['bytes', bytesOf(100_000)],
  ['a byte order mark and halves of characters', new Uint8Array([0xef, 0xbb, 0xbf, 0xff, 0xc3, 0x00, 0x0d, 0x0a])],
  ['nothing', new Uint8Array(0)],
  ['more than is held back for the record', bytesOf(1_500_000)],
]

const told: ScriptedOrigin = (_, answer) => {
  answer.head(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Language': 'de',
    'Content-Disposition': 'attachment; filename="a.txt"',
    Location: '/things/1',
    ETag: '"1"',
    'X-Request-Id': 'r1',
    'OpenAI-Processing-Ms': '7',
    'Set-Cookie': ['a=1; Path=/', 'b=2'],
    'X-RateLimit-Remaining': '9',
    'X-Secret': 'of this caller',
    'Idempotency-Status': 'forged',
    'Idempotent-Replayed': 'true',
  })
  answer.end('Grüße')
}

const kept = ['content-type', 'content-language', 'content-disposition', 'location', 'etag', 'x-request-id']
const dropped = ['set-cookie', 'x-ratelimit-remaining', 'x-secret']

function isDate(value: string | null): boolean {
  return value !== null && new Date(value).toUTCString() === value
}

/** Answers. */
export const answers: readonly HttpCase[] = [
  ...finals.map((status) => ({
    name: `H4 ${status} is an outcome: it is replayed`,
    origin: answering(status),
    async run(s: HttpSubject) {
      const got = await s.send({ key: 'k' })
      same([got.status, got.header('idempotency-status')], [status, 'executed'], 'the first answer')
      await s.replays({ key: 'k' }, got)
      // The connection is in order after an answer without a body.
      await s.replays({ key: 'k' }, got)
      s.executed(1)
    },
  })),
  ...bodies.map(([what, body]) => ({
    name: `H4 a body is replayed byte for byte: ${what}`,
    origin: ((_, answer) => {
      answer.head(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': String(body.length) })
      answer.end(body)
    }) satisfies ScriptedOrigin,
    async run(s: HttpSubject) {
      const got = await s.send({ key: 'k' })
      same(got.bytes, body, 'the body')
      await s.replays({ key: 'k' }, got)
      s.executed(1)
    },
  })),
  {
    name: 'H4 a coded body is replayed as it is, and decoded for those who do not take the coding',
    origin: async (_, answer) => {
      const coded = new Blob(['hello hello hello']).stream().pipeThrough(new CompressionStream('gzip'))
      answer.head(200, { 'Content-Type': 'text/plain', 'Content-Encoding': 'gzip' })
      answer.end(new Uint8Array(await new Response(coded).arrayBuffer()))
    },
    async run(s) {
      const coded = { 'Accept-Encoding': 'gzip' }
      const got = await s.send({ key: 'k', headers: coded })
      same([got.text, got.header('content-encoding')], ['hello hello hello', 'gzip'], 'the first answer')
      const again = await s.replays({ key: 'k', headers: coded }, got)
      same(again.header('content-encoding'), 'gzip', 'the coding of the replay')
      const plain = await s.replays({ key: 'k', headers: { 'Accept-Encoding': 'identity' } }, got)
      same(plain.header('content-encoding'), null, 'the coding for one who takes none')
    },
  },
  {
    name: 'H5 a replay has the headers that describe the answer, and none that was for one caller',
    origin: told,
    async run(s) {
      const got = await s.send({ key: 'k' })
      same(got.header('set-cookie'), 'a=1; Path=/, b=2', 'the cookies of the first answer')
      same(got.header('x-secret'), 'of this caller', 'a header of the first answer')
      const again = await s.replays({ key: 'k' }, got)
      for (const name of kept) same(again.header(name), got.header(name), `${name} of the replay`)
      for (const name of dropped) same(again.header(name), null, `${name} of the replay`)
      same(again.header('cache-control'), 'no-store', 'what caches are told')
    },
  },
  {
    name: "H5 the handler's own Idempotency headers never pass for ours",
    origin: told,
    async run(s) {
      const got = await s.send({ key: 'k' })
      same(
        [got.header('idempotency-status'), got.header('idempotent-replayed')],
        ['executed', null],
        'of the first answer',
      )
    },
  },
  {
    name: 'H5 every answer echoes the key and says how it came about, and until when it is kept',
    async run(s) {
      const got = await s.send({ key: '"k-1"' })
      const again = await s.send({ key: '"k-1"' })
      for (const answer of [got, again] satisfies Got[]) {
        same(answer.header('idempotency-key'), '"k-1"', 'the echo')
        holds(isDate(answer.header('idempotency-expires')), 'Idempotency-Expires is a date')
      }
      same(got.header('idempotency-original-date'), null, 'the original date of the original')
      holds(isDate(again.header('idempotency-original-date')), 'Idempotency-Original-Date is a date')
      same(again.header('idempotency-expires'), got.header('idempotency-expires'), 'the expiry')
    },
  },
]
