/** `--tls-cert` and `--tls-key`: HTTPS and nothing else, sentences for files that cannot be right, renewal by SIGHUP. */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { selfSigned } from './certificates.ts'
import {
  exchangeRaw,
  freshKey,
  type GatewayProgram,
  Program,
  RawClient,
  type ScriptedUpstream,
  startGateway,
  startUpstream,
  until,
} from './harness.ts'
import { fileOf } from './keyfiles.ts'

const first = selfSigned()
const second = selfSigned()
const current = { cert: fileOf(readFileSync(first.cert, 'utf8')), key: fileOf(readFileSync(first.key, 'utf8')) }
const flags = ['--tls-cert', current.cert, '--tls-key', current.key]
let upstream: ScriptedUpstream
let gateway: GatewayProgram

beforeAll(async () => {
  upstream = await startUpstream()
  gateway = await startGateway(upstream, flags)
})
afterAll(async () => {
  await gateway.kill()
  upstream.close()
})
beforeEach(() => upstream.reset())

/** Asks over TLS; the answer's text, and the fingerprint of the certificate that was shown. */
function ask(ca: string, path = '/v1/a'): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { Authorization: 'a', 'Idempotency-Key': freshKey(), 'Content-Length': '0' }
    const options = {
      port: gateway.port,
      host: 'localhost',
      method: 'POST',
      path,
      headers,
      ca: readFileSync(ca),
      agent: false,
    }
    const request = httpsRequest(options, (response) => {
      let text = ''
      response.on('data', (bytes: Buffer) => (text += bytes.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    request.on('error', reject)
    request.end()
  })
}

/** Bytes over TLS, until the gateway closes. */
function exchangeTls(bytes: string, options: object = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls(
      { port: gateway.port, host: 'localhost', ca: readFileSync(first.cert), ...options },
      () => socket.write(bytes),
    )
    let text = ''
    socket.on('data', (data: Buffer) => (text += data.toString('latin1')))
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

describe('a gateway with a certificate', () => {
  test('says https in its ready line, and answers', async () => {
    expect(gateway.stdout).toMatch(/listening on https:\/\/127\.0\.0\.1:\d+ ->/)
    expect(await ask(first.cert)).toEqual({ status: 200, text: '{"count":1}' })
  })

  test('is not believed by a client that does not know its authority', async () => {
    await expect(ask(second.cert)).rejects.toThrow(/certificate/)
    expect(upstream.calls).toHaveLength(0)
  })

  test('forwards nothing of plain HTTP or of nonsense, and goes on', async () => {
    expect(await exchangeRaw(gateway, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).not.toContain('200')
    const client = new RawClient(gateway.port)
    client.write('\x16\x03\x01\x00\x05nonsense'.repeat(100))
    await client.closed
    expect(upstream.calls).toHaveLength(0)
    expect((await ask(first.cert)).status).toBe(200)
  })

  test('refuses what is malformed inside of TLS as it does outside', async () => {
    expect(await exchangeTls('GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  })

  test('declines an upgrade that it does not know, and answers the request', async () => {
    const offer = 'GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n'
    expect(await exchangeTls(offer)).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('speaks no TLS older than 1.2', async () => {
    await expect(
      exchangeTls('', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow()
  })

  test('cuts a handshake that does not come to its end', { timeout: 20_000 }, async () => {
    const client = new RawClient(gateway.port)
    const startedMs = performance.now()
    client.write('\x16\x03\x01')
    await client.closed
    expect(performance.now() - startedMs).toBeLessThan(15_000)
  })

  test('takes a renewed certificate at SIGHUP, and keeps the old one when the files are wrong', async () => {
    copyFileSync(second.cert, current.cert)
    gateway.signal('SIGHUP')
    await until(() => gateway.stderr.includes('do not belong together'))
    expect((await ask(first.cert)).status).toBe(200)
    copyFileSync(second.key, current.key)
    gateway.signal('SIGHUP')
    await until(() => gateway.stderr.includes('the certificate was read again'))
    expect((await ask(second.cert)).status).toBe(200)
    await expect(ask(first.cert)).rejects.toThrow(/certificate/)
  })
})

describe('files that cannot be right are refused in one sentence', () => {
  const open = fileOf(readFileSync(first.key, 'utf8'))
  chmodSync(open, 0o644)
  const locked = fileOf('')
  execFileSync('openssl', ['pkcs8', '-topk8', '-in', first.key, '-out', locked, '-passout', 'pass:secret'])

  test.each([
    ['a certificate without a key', ['--tls-cert', first.cert], '--tls-key is missing'],
    ['a key without a certificate', ['--tls-key', first.key], '--tls-cert is missing'],
    ['a certificate that is not there', ['--tls-cert', '/no/such', '--tls-key', first.key], 'cannot be read (ENOENT)'],
    ['a key that is not there', ['--tls-cert', first.cert, '--tls-key', '/no/such'], 'cannot be read (ENOENT)'],
    ['a folder', ['--tls-cert', '/', '--tls-key', first.key], 'cannot be read (EISDIR)'],
    [
      'a key in place of the certificate',
      ['--tls-cert', first.key, '--tls-key', first.key],
      'holds no certificate in PEM',
    ],
    [
      'a certificate in place of the key',
      ['--tls-cert', first.cert, '--tls-key', fileOf(readFileSync(first.cert, 'utf8'))],
      'holds no private key in PEM',
    ],
    [
      'a key with a passphrase',
      ['--tls-cert', first.cert, '--tls-key', locked],
      'a passphrase, which nobody could type in',
    ],
    ['a key of another certificate', ['--tls-cert', first.cert, '--tls-key', second.key], 'do not belong together'],
    ['a key that everybody can read', ['--tls-cert', first.cert, '--tls-key', open], 'chmod o-rwx'],
  ])('%s', async (_, files, sentence) => {
    const program = new Program(['gateway', '--upstream', 'sandbox:', '--store', 'memory:', '--port', '0', ...files])
    expect((await program.exited).code).toBe(2)
    expect(program.stderr).toContain(sentence)
    expect(program.stderr.trim().split('\n')).toHaveLength(1)
    expect(program.stderr).not.toContain('PRIVATE KEY')
  })

  test('a certificate that has expired', async () => {
    const expired = selfSigned('localhost', -1)
    const files = ['--tls-cert', expired.cert, '--tls-key', expired.key]
    const program = new Program(['gateway', '--upstream', 'sandbox:', '--store', 'memory:', '--port', '0', ...files])
    expect((await program.exited).code).toBe(2)
    expect(program.stderr).toMatch(/has expired \(.*\)\. Renew it\./)
  })
})
