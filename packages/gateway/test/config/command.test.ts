/** `oncekey config`: checks a file, says what would hold, writes a file to begin with. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { checked, placeIn } from '../../src/config/mistakes.ts'
import { presetNames } from '../../src/config/presets/index.ts'
import { fileSchema } from '../../src/config/schema.ts'
import { type GatewayProgram, Program, startGateway } from '../program.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-config-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

async function run(args: readonly string[], cwd: string = folder): Promise<Run> {
  const program = new Program(['config', ...args], {}, cwd)
  const { code } = await program.exited
  return { code, stdout: program.stdout, stderr: program.stderr }
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return name
}

const several = file(
  'several.yaml',
  `upstream:
  openai: https://api.openai.com
  local: { url: http://127.0.0.1:11434/base, preset: ollama }
  plain: { url: http://10.0.0.1, preset: none }
store: redis://user:hunter2@cache
retention: 7d
routes:
  - { path: /v1/batches, upstream: openai, requireKey: true }
  - { path: '/v1/*', methods: [POST, PUT], wait: 1m, classify: { 5xx: not_executed } }
`,
)

describe.concurrent('config check', () => {
  test('says what would hold: upstreams with their presets, routes in order, the top level', async () => {
    expect(await run(['check', several])).toEqual({
      code: 0,
      stderr: '',
      stdout: `several.yaml is right.
upstreams:
  openai = https://api.openai.com (preset openai)
  local = http://127.0.0.1:11434/base (preset ollama)
  plain = http://10.0.0.1 (preset none)
routes, the first match counts:
  0  /v1/batches of openai: requireKey true
  1  /v1/* [POST PUT]: wait 1m, classify {"5xx":"not_executed"}
else: onAbandoned reexecute, retention 7d, wait 10m, keyless retries, onDisconnect drain, mismatch reject
store: redis://user:***@cache
`,
    })
  })
  test('takes a file that leaves the upstream to a flag, its name in routes too', async () => {
    const open = file('open.yaml', 'routes: [{ path: /a, upstream: later }]\n')
    const { code, stdout } = await run(['check', open])
    expect([code, stdout]).toEqual([0, expect.stringContaining('none here: --upstream has to say')])
  })
  test.each([
    ['POST /openai/v1/batches', ['routes[0]', 'openai: */v1/batches', 'onAbandoned unknown, retention 7d, wait 10m']],
    ['POST /openai/v1/files?x=1', ['routes[1]', 'openai: */v1/files', 'onAbandoned unknown, retention 7d, wait 1m']],
    ['POST /openai/v1/responses', ['onAbandoned reexecute', 'with background true in its body: onAbandoned unknown']],
    ['PUT /plain/v1/x', ['plain = http://10.0.0.1', 'routes[1]', 'preset    none', 'onAbandoned reexecute']],
    ['POST /local/api/create', ['none of the file', 'ollama: */api/create', 'onAbandoned unknown']],
    ['DELETE /openai/v1/files/x', ['holds     nothing: it is passed through']],
  ])('says which rules %s falls under', async (request, parts) => {
    const { code, stdout, stderr } = await run(['check', several, '--route', request])
    expect([code, stderr]).toEqual([0, ''])
    for (const part of parts) expect(stdout).toContain(part)
  })
  test.each([
    ['no file', ['check'], /needs a file/],
    ['a file that is not there', ['check', 'nowhere.yaml'], /nowhere\.yaml.*ENOENT/],
    ['two files', ['check', 'a', 'b'], /one FILE/],
    ['a request that is none', ['check', several, '--route', 'batches'], /'POST \/v1\/batches'/],
    [
      'a request that no upstream takes',
      ['check', several, '--route', 'POST /v1/x'],
      /\/openai\/, \/local\/, \/plain\//,
    ],
    ['no action', [], /one of check, init/],
    ['an unknown action', ['chekc'], /"chekc" is none/],
    ['an inherited action', ['constructor'], /"constructor" is none/],
  ])('exit code 2 and one sentence for %s', async (_, args, sentence) => {
    const { code, stdout, stderr } = await run(args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(sentence)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })
  test.each([
    [
      'a duration',
      'routes:\n  - { path: /a }\n  - { path: /b, retention: soon }\n',
      /routes\[1\]\.retention in wrong.*"soon"/,
    ],
    ['a misspelt key', 'upstreem: http://a\n', /wrong.* has the unknown key "upstreem"; did you mean "upstream"\?/],
    ['a misspelt key of a route', 'routes: [{ path: /a, onAbandonned: unknown }]\n', /did you mean "onAbandoned"\?/],
    [
      'a misspelt key of an upstream',
      'upstream: { a: { ulr: http://a } }\n',
      /upstream\.a in wrong.*"ulr"|upstream\.a\.url/,
    ],
    ['an upstream that is none', 'upstream: { a: http://a }\nroutes: [{ path: /a, upstream: b }]\n', /"b".*Known: a/],
  ])('names the place of %s, in one sentence', async (name, text, sentence) => {
    const { code, stderr } = await run(['check', file(`wrong ${name}.yaml`, text)])
    expect([code, stderr.trimEnd().split('\n').length]).toEqual([2, 1])
    expect(stderr).toMatch(sentence)
  })
})

describe.concurrent('config init', () => {
  test.each(presetNames)('--preset %s writes a file that passes its own check', async (preset) => {
    const { code, stderr } = await run(['init', `${preset}.yaml`, '--preset', preset])
    expect([code, stderr]).toEqual([0, ''])
    expect((await run(['check', `${preset}.yaml`])).stdout).toMatch(new RegExp(`\\(preset ${preset}\\)`))
  })
  test('writes every option as a comment, and stays right when all of them are taken out of it', async () => {
    await run(['init', 'all.yaml'])
    const text = readFileSync(join(folder, 'all.yaml'), 'utf8')
    const options = text.replace(/^# (?=[\w$]+:|routes:| {2})/gm, '').replace(/^(?:yaml-language|For|Check).*$/gm, '')
    const parsed = checked(fileSchema, parse(options), placeIn('all.yaml'))
    expect(Object.keys(parsed).length).toBeGreaterThan(30)
    expect(parsed.routes).toHaveLength(2)
  })
  test('starts a gateway', async () => {
    await run(['init', 'start.yaml'])
    const gateway: GatewayProgram = await startGateway(undefined, ['--config', join(folder, 'start.yaml')])
    expect(gateway.stdout).toContain('-> https://api.openai.com (store memory:)')
    await gateway.kill()
  })
  test('calls the file oncekey.yaml where none is named, and never writes over one', async () => {
    const cwd = mkdtempSync(join(folder, 'new-'))
    expect((await run(['init'], cwd)).stdout).toContain('oncekey gateway --config oncekey.yaml')
    writeFileSync(join(cwd, 'oncekey.yaml'), 'mine')
    const again = await run(['init'], cwd)
    expect([again.code, again.stderr]).toEqual([2, expect.stringMatching(/oncekey\.yaml is there already/)])
    expect(readFileSync(join(cwd, 'oncekey.yaml'), 'utf8')).toBe('mine')
  })
  test('points editors to the schema in the modules of the project, else to the installed one', async () => {
    const project = mkdtempSync(join(folder, 'project-'))
    mkdirSync(join(project, 'node_modules/@oncekey'), { recursive: true })
    mkdirSync(join(project, 'deploy'))
    const installed = fileURLToPath(new URL('../..', import.meta.url))
    symlinkSync(resolve(installed), join(project, 'node_modules/@oncekey/gateway'))
    await run(['init', 'deploy/once.yaml'], project)
    await run(['init', 'lonely.yaml'])
    const firstLine = (path: string): string => readFileSync(path, 'utf8').split('\n')[0] ?? ''
    expect(firstLine(join(project, 'deploy/once.yaml'))).toBe(
      '# yaml-language-server: $schema=../node_modules/@oncekey/gateway/config.schema.json',
    )
    const [, lonely = ''] = firstLine(join(folder, 'lonely.yaml')).split('$schema=')
    expect(JSON.parse(readFileSync(lonely, 'utf8'))).toHaveProperty('title')
  })
  test.each([
    ['a preset nobody knows', ['init', 'x.yaml', '--preset', 'nobody'], /--preset is "nobody".*openai/],
    ['a folder that is not there', ['init', 'nowhere/x.yaml'], /ENOENT/],
    ['JSON', ['init', 'x.json'], /YAML/],
  ])('exit code 2 and one sentence for %s', async (_, args, sentence) => {
    const { code, stderr } = await run(args)
    expect([code, stderr.trimEnd().split('\n').length]).toEqual([2, 1])
    expect(stderr).toMatch(sentence)
  })
})
