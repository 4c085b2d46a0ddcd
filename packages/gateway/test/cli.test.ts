/** The command line: what cannot be right is one sentence and exit code 2; nothing is started half (gateway.md). */
import { once } from 'node:events'
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Exit, freshKey, Program, type ScriptedUpstream, send, startGateway, startUpstream } from './harness.ts'
import { fileOf } from './keyfiles.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-cli-'))
const url = 'http://127.0.0.1:9'
const sound = ['--upstream', url, '--store', 'memory:', '--port', '0']

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

interface Run extends Exit {
  readonly stdout: string
  readonly stderr: string
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const program = new Program(args, env, folder)
  const exit = await program.exited
  return { ...exit, stdout: program.stdout, stderr: program.stderr }
}

/** One sentence on stderr, nothing on stdout, no stack, and nothing of a password. */
function expectSentence({ code, stdout, stderr }: Run, wanted: number): void {
  expect([stderr, code]).toEqual([stderr, wanted])
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^oncekey: [A-Z"/-].+\n$/i)
  expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(stderr).not.toMatch(/\bat .*:\d+:\d+|node:internal|Error:|undefined|\[object/)
}

describe.concurrent('exit code 2 and one sentence for', () => {
  const wrong: [string, string[], RegExp, Record<string, string>?][] = [
    ['no upstream', ['--store', 'memory:'], /--upstream https/],
    ['an upstream that is no URL', ['--upstream', 'api.openai.com'], /--upstream is "api.openai.com"/],
    ['an upstream that speaks no HTTP', ['--upstream', 'ftp://a'], /http:\/\/ or https:\/\//],
    ['an upstream with a query', ['--upstream', 'https://a/?x=1'], /query/],
    ['an upstream named twice', ['--upstream', 'a=http://x', '--upstream', 'a=http://y'], /"a" twice/],
    ['two upstreams without a name', ['--upstream', 'http://x', '--upstream', 'http://y'], /without a name/],
    ['an upstream in the environment', [], /ONCEKEY_UPSTREAM/, { ONCEKEY_UPSTREAM: 'nonsense' }],
    ['a duration without a unit', [...sound, '--lease', '30'], /--lease is "30".*30s/],
    ['a duration that is none', [...sound, '--wait', 'soon'], /--wait is "soon"/],
    ['a negative duration', [...sound, '--wait=-1s'], /--wait is "-1s"/],
    ['a lease too short to renew', [...sound, '--lease', '100ms'], /at least 500ms/],
    ['no retention', [...sound, '--retention', '0s'], /more than 0/],
    ['a bad duration in the environment', sound, /ONCEKEY_STOP_GRACE is "x"/, { ONCEKEY_STOP_GRACE: 'x' }],
    ['a size that is none', [...sound, '--max-body', 'big'], /--max-body is "big".*64mb/],
    ['a tenant that may keep nothing', [...sound, '--tenant-records', '0'], /--tenant-records is "0".*from 1/],
    ['a tenant that may keep no bytes', [...sound, '--tenant-bytes', '0kb'], /--tenant-bytes is "0kb".*more than 0/],
    ['not even one', [...sound, '--tenant-bytes', '0.0004kb'], /--tenant-bytes is "0.0004kb".*more than 0/],
    ['a port beyond all ports', [...sound, '--port', '65536'], /--port is "65536".*65535/],
    ['a port that is no number', [...sound, '--port', 'http'], /--port is "http"/],
    ['a policy nobody knows', [...sound, '--on-abandoned', 'retry'], /one of reexecute, unknown/],
    ['a mode nobody knows', [...sound, '--keyless', 'maybe'], /one of retries, off, content/],
    ['a header that cannot be one', [...sound, '--tenant-header', 'X Team'], /--tenant-header is "X Team"/],
    ['an unknown flag', [...sound, '--frobnicate'], /--frobnicate.*--help/],
    ['a word too much', [...sound, 'now'], /now.*--help/],
    ['a flag without its value', ['--upstream', url, '--store'], /--store.*--help/],
    ['no workers', [...sound, '--workers', '0'], /--workers is "0"/],
    ['workers that share no store', [...sound, '--workers', '2'], /memory: is not one/],
    ['a store nobody knows', ['--upstream', url, '--store', 'mysql://a/b'], /"mysql:\/\/a\/b".*lmdb:PATH/],
    ['a store without a path', ['--upstream', url, '--store', 'lmdb:'], /"lmdb:"/],
    ['a store without a host', ['--upstream', url, '--store', 'redis://'], /redis:\/\/USER:PASSWORD@HOST/],
    ['a database that is no number', ['--upstream', url, '--store', 'redis://h/db'], /number for the database/],
    ['a port that is none', ['--upstream', url, '--store', 'redis://h:66666'], /HOST:PORT/],
    ['hosts that are no cluster', ['--upstream', url, '--store', 'redis://a,b'], /redis\+cluster/],
    ['a sentinel without a name', ['--upstream', url, '--store', 'redis+sentinel://a'], /name that Sentinel/],
    ['a misspelt option', ['--upstream', url, '--store', 'redis://h?prefx=a'], /unknown option "prefx"/],
    ['replicas that are no number', ['--upstream', url, '--store', 'redis://h?waitReplicas=x'], /waitReplicas/],
    [
      'hints that are no switch',
      ['--upstream', url, '--store', 'redis://h?hints=yes'],
      /hints that are neither 0 nor 1/,
    ],
    [
      'the same for PostgreSQL',
      ['--upstream', url, '--store', 'postgres://h/d?hints='],
      /hints that are neither 0 nor 1/,
    ],
    ['a misspelt schema', ['--upstream', url, '--store', 'postgres://h/d?shcema=a'], /unknown option "shcema"/],
    ['an empty schema', ['--upstream', url, '--store', 'postgres://h/d?schema='], /empty schema/],
    ['a configuration that is not there', [...sound, '--config', '/nowhere/a.yaml'], /\/nowhere\/a\.yaml.*ENOENT/],
    ['a folder for a configuration', [...sound, '--config', folder], /cannot be read/],
    ['a pepper that is not there', [...sound, '--pepper-file', '/nowhere/p'], /\/nowhere\/p.*32 bytes/],
  ]
  test.each(wrong)('%s', async (_, args, sentence, env = {}) => {
    const answer = await run(['gateway', ...args], env)
    expectSentence(answer, 2)
    expect(answer.stderr).toMatch(sentence)
  })

  test.each([
    ['an unknown key', 'upstreem: http://a\n', /unknown key "upstreem"/],
    ['an unknown key of a route', 'routes: [{ path: /a, frob: 1 }]\n', /routes\[0\].*unknown key "frob"/],
    ['a global key in a route', 'routes: [{ path: /a, port: 1 }]\n', /routes\[0\].*unknown key "port"/],
    ['a route without a path', 'routes: [{ covered: false }]\n', /routes\[0\].*path/],
    ['a route of an unknown upstream', 'routes: [{ path: /a, upstream: nobody }]\n', /"nobody".*no upstream/],
    ['routes that are no list', 'routes: { path: /a }\n', /routes.*list/],
    ['a bad value', 'lease: soon\n', /lease in .*"soon"/],
    ['a bad value of a route', 'routes: [{ path: /a, mismatch: maybe }]\n', /routes\[0\]\.mismatch/],
    ['a list for all of it', '- a\n- b\n', /keys and values/],
    ['broken YAML', 'a: [b\nc: "d\n', /neither YAML nor JSON/],
    ['broken JSON', '{"upstream": "http://a",,}', /neither YAML nor JSON/],
    ['an inherited name', 'constructor: 1\n', /unknown key "constructor"/],
  ])('a configuration with %s, which it names', async (_, text, sentence) => {
    const path = file(`wrong${Math.random()}.yaml`, text)
    const answer = await run(['gateway', ...sound, '--config', path])
    expectSentence(answer, 2)
    expect(answer.stderr).toMatch(sentence)
    expect(answer.stderr).toContain(path)
  })

  const k = (byte: number): string => Buffer.alloc(32, byte).toString('base64')
  test.each([
    ['nothing', '', /holds no key\. Make one: echo "k1/],
    ['comments only', '# keys\n\n', /holds no key/],
    ['a key without an id', k(1), /^oncekey: Line 1 of .* must be an id/],
    ['a key of 31 bytes', `k1 ${k(1)}\nk2 ${Buffer.alloc(31).toString('base64')}`, /Line 2 of .*exactly 32 bytes/],
    ['a key that is no base64', `k1 ${'!'.repeat(44)}`, /Line 1 of/],
    ['an id of 33 characters', `${'k'.repeat(33)} ${k(1)}`, /Line 1 of/],
    ['two keys in a line', `k1 ${k(1)} ${k(2)}`, /Line 1 of/],
    ['one id twice', `k1 ${k(1)}\n\nk1 ${k(2)}\n`, /Line 3 of .*"k1"/],
  ])('a key file with %s, of which it repeats nothing', async (_, text, sentence) => {
    const path = fileOf(text)
    const answer = await run(['gateway', ...sound, '--encryption-key-file', path])
    expectSentence(answer, 2)
    expect(answer.stderr).toMatch(sentence)
    expect(answer.stderr).toContain(path)
    for (const secret of [k(1), k(2), '!!!!']) expect(answer.stderr).not.toContain(secret)
  })

  test('a key file that is not there, or that others can read or write, like ssh', async () => {
    const gone = await run(['gateway', ...sound], { ONCEKEY_ENCRYPTION_KEY_FILE: '/nowhere/k' })
    expectSentence(gone, 2)
    expect(gone.stderr).toMatch(/ONCEKEY_ENCRYPTION_KEY_FILE is "\/nowhere\/k".*ENOENT/)
    for (const [mode, refused] of [
      [0o644, true],
      [0o602, true],
      [0o440, false],
      [0o600, false],
    ] as const) {
      const path = fileOf(`k1 ${k(1)}\n`)
      chmodSync(path, mode)
      // The store cannot be opened, so the file is all that is looked at.
      const args = ['records', 'list', '--store', 'lmdb:/nowhere/store', '--encryption-key-file', path]
      const answer = await run(args)
      expectSentence(answer, refused ? 2 : 1)
      if (refused) expect(answer.stderr).toMatch(new RegExp(`mode ${mode.toString(8)}.*chmod o-rwx ${path}`))
    }
  })

  test.each([
    ['31 bytes', Buffer.alloc(31).toString('base64')],
    ['33 bytes', Buffer.alloc(33).toString('base64')],
    ['nothing', ''],
    ['hexadecimal', 'ab'.repeat(32)],
    ['a prompt', 'my secret pepper, do not show'],
  ])('a pepper of %s, which it does not print', async (_, text) => {
    const answer = await run(['gateway', ...sound, '--pepper-file', file(`pepper${Math.random()}`, text)])
    expectSentence(answer, 2)
    expect(answer.stderr).toMatch(/base64 of exactly 32 bytes/)
    if (text !== '') expect(answer.stderr).not.toContain(text)
  })

  test.each(['frobnicate', '--frobnicate', 'constructor', '__proto__', 'toString', ''])(
    'the unknown command "%s"',
    async (name) => {
      const answer = await run([name])
      expectSentence(answer, 2)
      expect(answer.stderr).toContain('gateway')
    },
  )
})

describe.concurrent('a password', () => {
  test.each([
    ['of a store', ['--upstream', url, '--store', 'redis://user:hunter2@127.0.0.1:1'], 1],
    ['of a list of hosts', ['--upstream', url, '--store', 'redis+cluster://:hunter2@127.0.0.1:1,127.0.0.1:2'], 1],
    ['of a store with odd letters', ['--upstream', url, '--store', 'redis://:hun/hunter2@x@host']],
    ['of a store without a user', ['--upstream', url, '--store', 'postgres://:hunter2@127.0.0.1:1/db'], 1],
    ['of a store that is no URL', ['--upstream', url, '--store', 'postgres://a:hunter2@ho st/db']],
    ['in the query of a store', ['--upstream', url, '--store', 'postgres://host/db?user=u&password=hunter2']],
    ['of an upstream', ['--upstream', 'https://user:hunter2@host', '--store', 'memory:']],
    ['of an upstream that speaks no HTTP', ['--upstream', 'ftp://user:hunter2@host', '--store', 'memory:']],
    ['of an upstream that is no URL', ['--upstream', 'https://user:hunter2@ho st', '--store', 'memory:']],
    ['of a named upstream', ['--upstream', 'a=https://user:hunter2@host', '--store', 'memory:']],
  ] as [string, string[], number?][])('%s is never printed', async (_, args, code = 2) => {
    const answer = await run(['gateway', ...args])
    expectSentence(answer, code)
    expect(answer.stderr).not.toContain('hunter2')
  })
})

describe('exit code 1 and one sentence for', () => {
  test('a port in use, which it names', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const answer = await run(['gateway', '--upstream', url, '--store', 'memory:', '--port', String(port)])
    expectSentence(answer, 1)
    expect(answer.stderr).toMatch(new RegExp(`${port}.*in use.*--port`))
    server.close()
  })

  test('a host nobody is', async () => {
    const answer = await run(['gateway', ...sound, '--host', '203.0.113.1'])
    expectSentence(answer, 1)
    expect(answer.stderr).toContain('203.0.113.1')
  })

  test('a store whose folder cannot be made', async () => {
    const blocked = file('blocked', 'a file')
    chmodSync(blocked, 0o400)
    const answer = await run(['gateway', '--upstream', url, '--store', `lmdb:${blocked}/below`, '--port', '0'])
    expectSentence(answer, 1)
    expect(answer.stderr).toContain('blocked')
  })
})

describe('help', () => {
  test('of the root lists the commands that exist', async () => {
    for (const args of [['--help'], ['-h'], ['help']]) {
      const { code, stdout, stderr } = await run(args)
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(/^ {2}gateway +\w/m)
      for (const [, name] of stdout.matchAll(/^ {2}(\w+) /gm)) {
        const { stderr: refused } = await run([name as string, '--help'])
        expect([name, refused]).toEqual([name, ''])
      }
    }
  })

  test('is what a call without a command gets, with exit code 2', async () => {
    const { code, stdout, stderr } = await run([])
    expect(code).toBe(2)
    expect(stdout + stderr).toContain('Usage: oncekey COMMAND')
  })

  test('of the gateway lists every flag with its default, whatever else is wrong', async () => {
    const { code, stdout, stderr } = await run(['gateway', '--lease', 'soon', '--help'])
    expect([code, stderr]).toEqual([0, ''])
    const flags = [
      ...['upstream', 'host', 'port', 'store', 'workers', 'lease', 'retention', 'wait', 'skew', 'on-abandoned'],
      ...['on-disconnect', 'keyless', 'tenant-header', 'dangerously-allow-anonymous', 'pepper-file'],
      ...['upstream-timeout', 'stop-grace', 'max-body', 'max-outcome', 'fail-open', 'config', 'no-migrate'],
    ]
    for (const flag of flags) expect(stdout).toMatch(new RegExp(`^ {2}--${flag}\\b`, 'm'))
    for (const value of ['127.0.0.1', '8787', 'lmdb:.oncekey', '30s', '24h', '10m', 'reexecute', 'drain', 'retries'])
      expect(stdout).toContain(`(${value})`)
  })

  test('tells its version', async () => {
    const { code, stdout } = await run(['--version'])
    expect([code, /^\d+\.\d+\.\d+\n$/.test(stdout)]).toEqual([0, true])
  })
})

describe('a value', () => {
  let upstream: ScriptedUpstream
  beforeAll(async () => {
    upstream = await startUpstream()
  })
  afterAll(() => upstream.close())

  test('comes from the flag before the variable before the file before the default', async () => {
    const path = file('order.yaml', `upstream: ${upstream.url}\nmaxBody: 1kb\ndangerouslyAllowAnonymous: true\n`)
    const most = async (args: string[], env: Record<string, string>): Promise<number> => {
      const gateway = await startGateway(undefined, ['--config', path, ...args], env)
      const statuses = await Promise.all(
        [500, 1500, 2500, 3500].map((size) => send(gateway, { key: freshKey(), as: null, body: 'x'.repeat(size) })),
      )
      await gateway.kill()
      return statuses.filter(({ status }) => status === 200).length
    }
    expect(await most([], {})).toBe(1)
    expect(await most([], { ONCEKEY_MAX_BODY: '2kb' })).toBe(2)
    expect(await most(['--max-body', '3kb'], { ONCEKEY_MAX_BODY: '2kb' })).toBe(3)
  })

  test('may come from variables alone, the file’s name among them', async () => {
    const path = file('named.yaml', 'dangerouslyAllowAnonymous: yes\n')
    const env = { ONCEKEY_UPSTREAM: `one=${upstream.url},two=${upstream.url}`, ONCEKEY_CONFIG: path }
    const gateway = await startGateway(undefined, [], env)
    expect((await send(gateway, { path: '/two/a', key: freshKey(), as: null })).status).toBe(200)
    await gateway.kill()
  })
})

test('the ready line is one line, exact, and the only thing on stdout', async () => {
  const gateway = await startGateway(undefined, ['--upstream', 'https://api.example.com/', '--host', '127.0.0.1'])
  expect(gateway.stdout).toBe(
    `oncekey gateway listening on http://127.0.0.1:${gateway.port} -> https://api.example.com (store memory:)\n`,
  )
  await send(gateway, { method: 'GET', path: '/', headers: ['Host', 'x'] }).catch(() => undefined)
  gateway.signal('SIGTERM')
  await gateway.exited
  expect(gateway.stdout.split('\n')).toHaveLength(2)
})

test('logs are JSON lines on stderr, without keys, credentials and prompts', async () => {
  const gateway = await startGateway(url)
  const secrets = ['key-in-log', 'Bearer secret-in-log', 'prompt-in-log']
  await send(gateway, { key: secrets[0] as string, as: secrets[1] as string, body: secrets[2] as string })
  gateway.signal('SIGTERM')
  await gateway.exited
  const lines = gateway.stderr.trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(0)
  for (const line of lines) expect(JSON.parse(line)).toHaveProperty('level')
  for (const secret of secrets) expect(gateway.stderr).not.toContain(secret)
})
