/** Nobody reaches through the gateway what is not its upstream: over raw sockets, so that no client tidies up first. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cpuMs } from '../../oncekey/test/cpu.ts'
import { staysWithin } from '../src/server/within.ts'
import { selfSigned } from './certificates.ts'
import {
  exchangeRaw,
  freshKey,
  type GatewayProgram,
  json,
  Program,
  RawClient,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from './harness.ts'

/** The only server that may be asked, and only below its prefix. */
let upstream: ScriptedUpstream
/** One that a caller would like to reach. */
let elsewhere: ScriptedUpstream
let gateway: GatewayProgram
let named: GatewayProgram
let host: string

beforeAll(async () => {
  upstream = await startUpstream()
  elsewhere = await startUpstream()
  host = new URL(elsewhere.url).host
  gateway = await startGateway(`${upstream.url}/api/v1`)
  named = await startGateway(undefined, ['--upstream', `one=${upstream.url}/api/v1`])
})
afterAll(async () => {
  await Promise.all([gateway.kill(), named.kill()])
  upstream.close()
  elsewhere.close()
})
beforeEach(() => {
  upstream.reset()
  elsewhere.reset()
})

const raw = (line: string, more = '', at = gateway): Promise<string> =>
  exchangeRaw(at, `${line}\r\n${more === '' ? 'Host: a\r\n' : more}Content-Length: 0\r\nConnection: close\r\n\r\n`)

const keyed = (): string => `Host: a\r\nAuthorization: a\r\nIdempotency-Key: ${freshKey()}\r\n`

describe('a target that names another host is refused', () => {
  test.each([
    'http://HOST/x',
    'https://HOST/x',
    'HTTP://HOST/x',
    'http:/HOST/x',
    'http://user:password@HOST/x',
    'ftp://HOST/x',
    'file:///etc/passwd',
    'HOST/x',
    'HOST',
    '@HOST/x',
    '*',
    '\\\\HOST\\x',
  ])('%s', async (form) => {
    for (const method of ['GET', 'POST']) {
      for (const fields of ['Host: a\r\n', keyed(), `Host: ${host}\r\n`]) {
        const answer = await raw(`${method} ${form.replace('HOST', host)} HTTP/1.1`, fields)
        expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
      }
    }
    expect([upstream.calls.length, elsewhere.calls.length]).toEqual([0, 0])
  })

  test('CONNECT gets no tunnel', async () => {
    expect(await exchangeRaw(gateway, `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe('')
    expect([upstream.calls.length, elsewhere.calls.length]).toEqual([0, 0])
  })
})

describe('a path that looks like another host is a path of the upstream', () => {
  test.each(['//HOST/x', '///HOST/x', '/@HOST/x', '/http://HOST/x', '/%2F%2FHOST/x', '/\\HOST/x', '/:80@HOST'])(
    '%s',
    async (form) => {
      const target = form.replace('HOST', host)
      expect(await raw(`GET ${target} HTTP/1.1`)).toMatch(/^HTTP\/1\.1 200 /)
      expect(await raw(`POST ${target} HTTP/1.1`, keyed())).toMatch(/^HTTP\/1\.1 200 /)
      expect(upstream.calls.map(({ url }) => url)).toEqual([`/api/v1${target}`, `/api/v1${target}`])
      expect(elsewhere.calls).toHaveLength(0)
    },
  )
})

describe('the host that a caller names never goes on', () => {
  test.each([
    ['Host', 'Host: HOST\r\n'],
    ['Host with a user', 'Host: user@HOST\r\n'],
    ['Host with a path', 'Host: HOST/x\r\n'],
    ['an empty Host', 'Host: \r\n'],
    ['Host that Connection would strip', 'Host: HOST\r\nConnection: host\r\n'],
    ['forwarding headers', 'Host: a\r\nX-Forwarded-Host: HOST\r\nForwarded: host=HOST\r\n'],
  ])('%s', async (_, fields) => {
    const answer = await raw('GET /x HTTP/1.1', fields.replaceAll('HOST', host))
    const own = new URL(upstream.url).host
    if (answer.startsWith('HTTP/1.1 200 ')) expect(upstream.calls[0]?.headers.host).toBe(own)
    else expect(upstream.calls).toHaveLength(0)
    expect(elsewhere.calls).toHaveLength(0)
  })

  test('and a WebSocket goes to the upstream too, below its prefix', async () => {
    const asked = new Promise<{ url?: string; host?: string | undefined }>((resolve) => {
      upstream.server.once('upgrade', (request, socket) => {
        resolve({ url: request.url ?? '', host: request.headers.host })
        socket.destroy()
      })
    })
    const client = new RawClient(gateway.port)
    const offer = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
    client.write(`GET //${host}/x HTTP/1.1\r\nHost: ${host}\r\n${offer}\r\n`)
    expect(await asked).toEqual({ url: `/api/v1//${host}/x`, host: new URL(upstream.url).host })
    await client.closed
    const refused = await exchangeRaw(gateway, `GET /../x HTTP/1.1\r\nHost: a\r\n${offer}\r\n`)
    expect(refused).toMatch(/^HTTP\/1\.1 404 /)
  })
})

const climbing = [
  '/..',
  '/../admin',
  '/./../admin',
  '/a/../../admin',
  '/a/b/../../../admin',
  '/%2e%2e/admin',
  '/.%2E/admin',
  '/..%2fadmin',
  '/..%2Fadmin',
  '/a/..%2f..%2fadmin',
  '/%2e%2e%2fadmin',
  '/..\\admin',
  '/a\\..\\..\\admin',
  '/..%5cadmin',
  '/..;/admin',
  '/..;a=b/admin',
  '/..%3b/admin',
  '/a//../../admin',
  '/a%2f../../admin',
  '/a%2fb/../../x',
  '/%252e%252e/admin',
  '/%252e%252e%252fadmin',
  '/%25252e%25252e/admin',
  '/%2525252525252e/',
]

describe('a path that climbs out of the upstream’s prefix is refused, in any spelling', () => {
  test.each(climbing)('%s', async (path) => {
    const answers = [
      await raw(`GET ${path} HTTP/1.1`),
      await raw(`POST ${path}?a=b HTTP/1.1`, keyed()),
      await raw(`GET /one${path} HTTP/1.1`, '', named),
    ]
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 404 /)
      expect(answer).toContain('"code":"unknown_upstream"')
    }
    expect(upstream.calls).toHaveLength(0)
  })

  test('and one that does not climb goes on to the byte', async () => {
    const fine = [
      '/a/../b',
      '/a/b/../../c',
      '/...',
      '/..a/b..',
      '/v1..v2',
      '/a%2Eb',
      '/%2e/a',
      '/files/a..b%2fc',
      '/a?x=/../../admin',
      '/a;v=../x',
    ]
    for (const path of fine) await raw(`GET ${path} HTTP/1.1`)
    expect(upstream.calls.map(({ url }) => url)).toEqual(fine.map((path) => `/api/v1${path}`))
  })

  test('in time that grows with its length only', () => {
    const all = () => {
      for (const part of ['..', '/..', '%2e', '%25', '%252e', '/a/..', ';', '/..;', '\\..', '%2525252e/'])
        staysWithin(`/${part.repeat(60_000 / part.length)}`)
    }
    expect(cpuMs(all)).toBeLessThan(500)
  })
})

test('what a header could smuggle is one value of one request', async () => {
  const key = freshKey()
  const answer = await raw(
    'POST /x HTTP/1.1',
    `Host: a\r\nAuthorization: a\r\nIdempotency-Key: ${key}\r\nX-A: b%0d%0aHost: c\r\n`,
  )
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  expect(upstream.calls.map(({ headers }) => headers['x-a'])).toEqual(['b%0d%0aHost: c'])
})

describe('TLS to an upstream', () => {
  const serve = async (certificate: { cert: string; key: string }): Promise<{ url: string; close: () => void }> => {
    const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) }
    const server = createServer(files, (_, response) => json(response, { secret: true }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      url: `https://localhost:${(server.address() as AddressInfo).port}`,
      close: () => {
        server.close()
        server.closeAllConnections()
      },
    }
  }

  test.each([
    ['nobody vouches for', () => selfSigned(), false, 'a certificate that the gateway does not trust'],
    ['that is for another name', () => selfSigned('elsewhere.example'), true, 'a certificate for another name'],
    ['that has expired', () => selfSigned('localhost', -1), true, 'a certificate that has expired'],
  ])(
    'with a certificate %s: every request is refused with that sentence, and no byte goes out',
    async (_, make, isNamed, sentence) => {
      const certificate = make()
      const server = await serve(certificate)
      const env = isNamed ? { NODE_EXTRA_CA_CERTS: certificate.cert } : {}
      const careful = await startGateway(server.url, ['--on-abandoned', 'unknown'], env)
      for (const sent of [{ key: freshKey() }, { method: 'GET' }]) {
        const refused = await send(careful, sent)
        expect([refused.status, refused.json['code'], refused.json['may_have_run']]).toEqual([
          502,
          'upstream_unreachable',
          false,
        ])
        expect(refused.json['detail']).toContain(sentence)
      }
      await careful.kill()
      server.close()
    },
  )

  test('is spoken with one whose authority NODE_EXTRA_CA_CERTS names', async () => {
    const certificate = selfSigned()
    const server = await serve(certificate)
    const trusting = await startGateway(server.url, [], { NODE_EXTRA_CA_CERTS: certificate.cert })
    expect((await send(trusting, { key: freshKey() })).json).toEqual({ secret: true })
    await trusting.kill()
    server.close()
  })

  test('cannot be left unverified: the variable that would do it is refused at the start', async () => {
    const program = new Program(['gateway', '--upstream', 'sandbox:', '--store', 'memory:', '--port', '0'], {
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
    })
    expect((await program.exited).code).toBe(2)
    expect(program.stderr).toMatch(/^oncekey: NODE_TLS_REJECT_UNAUTHORIZED=0 lets anybody .*NODE_EXTRA_CA_CERTS\.\n/m)
    expect(program.stdout).toBe('')
  })
})
