/** Who may ask the admin side, and where its token is to be had. */
import { existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Admin } from '../../../../test/e2e/admin.ts'
import { type GatewayProgram, Program, startGateway, until } from '../harness.ts'
import { fileOf } from '../keyfiles.ts'

const token = 'a-token-of-the-operators-4711'
const closed = ['/metrics', '/v1/records', '/v1/ledger', `/v1/records/${'x'.repeat(43)}`, '/nothing']

/** A run of the gateway that ends by itself. */
async function refused(...args: string[]): Promise<{ code: number | null; stderr: string }> {
  const program = new Program(['gateway', '--upstream', 'sandbox:', '--store', 'memory:', '--port', '0', ...args])
  const { code } = await program.exited
  return { code, stderr: program.stderr }
}

/** Does anybody listen there? */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

describe('without --admin-port', () => {
  test('there is no admin side: one line, one port, and its paths are the upstream’s', async () => {
    const gateway = await startGateway('sandbox:')
    expect(gateway.stdout.trimEnd().split('\n')).toHaveLength(1)
    const answer = await fetch(`http://127.0.0.1:${gateway.port}/healthz`)
    expect(answer.headers.get('idempotency-status')).toBe('ignored')
    await gateway.kill()
  })
  test('the control: with it there is a second line, and another port', async () => {
    const gateway = await startGateway('sandbox:', ['--admin-port', '0'])
    const lines = gateway.stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(2)
    const { url } = new Admin(gateway.stdout)
    expect(lines[1]).toMatch(/^oncekey admin listening on http:\/\/127\.0\.0\.1:\d+ \(token in \/\S+\/token\)$/)
    expect(await listens(Number(new URL(url).port))).toBe(true)
    await gateway.kill()
  })
})

describe('with a token in a file', () => {
  let gateway: GatewayProgram
  let admin: Admin
  beforeAll(async () => {
    const file = fileOf(`${token}\n`)
    gateway = await startGateway('sandbox:', ['--admin-port', '0', '--admin-token-file', file])
    admin = new Admin(gateway.stdout, token)
  })
  afterAll(() => gateway?.kill())

  test.each(closed)('%s is refused without the token, and with another one', async (path) => {
    const wrong = [null, '', `${token}x`, token.slice(1), 'x'.repeat(token.length)]
    for (const given of wrong) {
      const answer = await admin.ask(path, { token: given })
      expect(answer).toMatchObject({ status: 401, json: { code: 'token_required', status: 401 } })
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  })
  test('the control: with the token they are answered', async () => {
    const answers = await Promise.all(closed.map((path) => admin.ask(path)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 404, 404])
    expect(answers[4]?.json).toMatchObject({ code: 'not_found' })
  })
  test('the token is good as a bearer token only', async () => {
    for (const authorization of [token, `Basic ${token}`, `Bearer ${token} ${token}`]) {
      const answer = await fetch(`${admin.url}/metrics`, { headers: { authorization } })
      expect(answer.status).toBe(401)
    }
    const answer = await fetch(`${admin.url}/metrics`, { headers: { authorization: `bearer ${token}` } })
    expect(answer.status).toBe(200)
  })
  test('health needs none', async () => {
    for (const path of ['/healthz', '/readyz']) expect((await admin.ask(path, { token: null })).status).toBe(200)
  })
  test('a method that a path does not take is told which it takes', async () => {
    const answer = await admin.ask('/v1/records', { method: 'DELETE' })
    expect(answer).toMatchObject({ status: 405, json: { code: 'method_not_allowed' } })
    expect(answer.headers.get('allow')).toBe('GET')
    const head = await fetch(`${admin.url}/readyz`, { method: 'HEAD' })
    expect(head.status).toBe(200)
  })
  test('neither the token nor its place is printed', () => {
    expect(gateway.stdout + gateway.stderr).not.toContain(token)
    expect(gateway.stdout).toMatch(/^oncekey admin listening on http:\/\/127\.0\.0\.1:\d+$/m)
  })
})

describe('a random token', () => {
  test('is in a file for this user alone, never in what may be a log, and gone with the gateway', async () => {
    const gateway = await startGateway('sandbox:', ['--admin-port', '0'])
    const admin = new Admin(gateway.stdout)
    const path = /\(token in (\S+)\)/.exec(gateway.stdout)?.[1] ?? ''
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect((await admin.ask('/metrics')).status).toBe(200)
    await admin.ask('/v1/records')
    gateway.signal('SIGTERM')
    await gateway.exited
    expect(admin.token.length).toBeGreaterThan(30)
    expect(gateway.stdout + gateway.stderr).not.toContain(admin.token)
    expect(existsSync(path)).toBe(false)
  })
  test('is another one for every gateway', async () => {
    const gateways = await Promise.all([1, 2].map(() => startGateway('sandbox:', ['--admin-port', '0'])))
    const [first, second] = gateways.map(({ stdout }) => new Admin(stdout))
    expect(first?.token).not.toBe(second?.token)
    expect((await second?.ask('/metrics', { token: first?.token ?? '' }))?.status).toBe(401)
    await Promise.all(gateways.map((gateway) => gateway.kill()))
  })
  test('is shown on a terminal', async () => {
    const { spawn } = await import('node:child_process')
    const { bin } = await import('../program.ts')
    const command = `'${process.execPath}' '${bin}' gateway --upstream sandbox: --store memory: --port 0 --admin-port 0`
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'])
    let output = ''
    child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
    await until(() => output.includes('(token '))
    const shown = /admin listening on (\S+) \(token (\S+)\)/.exec(output)
    const answer = await fetch(`${shown?.[1]}/metrics`, { headers: { authorization: `Bearer ${shown?.[2]}` } })
    expect(answer.status).toBe(200)
    child.stdin.write('\u0003')
    await new Promise((resolve) => child.on('close', resolve))
  })
})

describe('a start that cannot be right says so in a sentence', () => {
  test.each([
    ['that others may read', () => fileOf(token, 0o644), /is open to every user of this machine \(mode 644\)/],
    ['that is too short', () => fileOf('secret'), /must hold one token of at least 22/],
    ['with two tokens', () => fileOf(`${token}\n${token}\n`), /must hold one token of at least 22/],
    ['that is not there', () => '/nowhere/token', /cannot be read \(ENOENT\). Name a file that holds the token/],
  ])('a token file %s', async (_, file, sentence) => {
    const { code, stderr } = await refused('--admin-port', '0', '--admin-token-file', file())
    expect(code).toBe(2)
    expect(stderr).toMatch(sentence)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    expect(stderr).not.toContain(token)
  })
  test('a token file without a port', async () => {
    const { code, stderr } = await refused('--admin-token-file', fileOf(token))
    expect([code, stderr]).toEqual([2, expect.stringMatching(/no --admin-port that would ask for it/)])
  })
  test('an admin port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await until(() => other.listening)
    const { port } = other.address() as { port: number }
    for (const workers of ['1', '2']) {
      const store = workers === '1' ? 'memory:' : `lmdb:${fileOf('')}-store`
      const { code, stderr } = await refused('--admin-port', String(port), '--store', store, '--workers', workers)
      expect(code).toBe(1)
      expect(stderr).toMatch(new RegExp(`Port ${port} on 127.0.0.1 is in use. Choose another with --admin-port`))
    }
    other.close()
  })
})
