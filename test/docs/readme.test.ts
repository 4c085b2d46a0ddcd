/** What pages show is run: the README's library block against the build, twice, its request against the gateway; a backup. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRedis } from '../../scripts/services.mjs'
import { blocks, root, section, textOf } from './markdown.ts'

const readme = textOf('README.md')
let folder = ''
/** Stores, which need no module resolution. */
let place = ''

beforeAll(() => {
  // Inside the repository, so that `oncekey` and its subpaths resolve as they do for a user of the workspace.
  folder = mkdtempSync(join(root, 'node_modules', '.oncekey-readme-'))
  place = mkdtempSync(join(tmpdir(), 'oncekey-readme-'))
})
afterAll(() => {
  for (const made of [folder, place]) rmSync(made, { recursive: true, force: true })
})

describe('the library block', () => {
  const [block] = blocks(section(readme, 'The library')).filter(({ language }) => language === 'js')
  const lines = (block?.text ?? '').trimEnd().split('\n')

  test('has ten lines, and the tenth calls run', () => {
    expect(lines.length).toBe(10)
    expect(lines[9]).toMatch(/\bonce\.run\(/)
    expect(lines.slice(0, 9).join('\n')).not.toMatch(/\.run\(/)
  })
  test('run twice, calls the model once and returns the same value', () => {
    const path = join(place, 'block')
    const calls = join(folder, 'calls')
    writeFileSync(calls, '')
    const program = [
      "import { appendFileSync } from 'node:fs'",
      'const callModel = async (prompt, { signal, fence }) => {',
      `  appendFileSync(${JSON.stringify(calls)}, 'x')`,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the program's template.
      '  return `summary of ${prompt} ${signal.aborted} ${Number.isSafeInteger(fence)}`',
      '}',
      lines.join('\n').replace("'.oncekey'", JSON.stringify(path)),
      'console.log(text)',
      'await once.close()',
    ].join('\n')
    expect(program).toContain(path)
    writeFileSync(join(folder, 'block.mjs'), program)
    const run = (): string =>
      execFileSync(process.execPath, [join(folder, 'block.mjs')], { encoding: 'utf8', timeout: 10_000 })
    const first = run()
    expect(first).toBe('summary of Summarise the contract in three sentences. false true\n')
    expect(run()).toBe(first)
    expect(readFileSync(calls, 'utf8')).toBe('x')
  })
})

/** A program that prints each call of the model, then `ready` when what it serves is there. */
function start(name: string, text: string): { readonly child: ChildProcess; readonly printed: () => string } {
  const path = join(folder, name)
  writeFileSync(path, text)
  const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let printed = ''
  child.stdout?.on('data', (bytes: Buffer) => {
    printed += bytes.toString()
  })
  return { child, printed: () => printed }
}

const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

describe('the route of Express', () => {
  const [block] = blocks(section(readme, 'A route of Express')).filter(({ language }) => language === 'js')
  const text = (block?.text ?? '').trimEnd()

  test('is ten lines, and runs its handler once for two requests', async () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(10)
    const program = text
      .replace("'.oncekey'", JSON.stringify(join(place, 'express')))
      .replace(
        'app.listen(3000)',
        "const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))",
      )
    const { printed } = start(
      'express.mjs',
      `const callModel = async (prompt) => (console.log('called'), 'summary of ' + prompt)\n${program}`,
    )
    await expect.poll(printed, { timeout: 10_000 }).toMatch(/^\d+\n/)
    const port = Number(printed())
    for (const how of ['executed', 'replayed']) {
      const response = await fetch(`http://127.0.0.1:${port}/summaries`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer one', 'idempotency-key': '"a"' },
        body: JSON.stringify({ prompt: 'it' }),
      })
      expect([response.headers.get('idempotency-status'), await response.json()]).toEqual([
        how,
        { summary: 'summary of it' },
      ])
    }
    expect(printed()).toBe(`${port}\ncalled\n`)
  })
})

describe('the worker of BullMQ', () => {
  const [block] = blocks(section(readme, 'A worker of BullMQ')).filter(({ language }) => language === 'js')
  const text = (block?.text ?? '').trimEnd()

  test('is ten lines, and charges once for a job that comes twice', async () => {
    expect(text.split('\n').length).toBeLessThanOrEqual(10)
    const redis = await startRedis()
    const connection = { host: redis.host, port: redis.port }
    const queue = new Queue('invoices', { connection })
    try {
      const program = text.replace('6379', String(redis.port))
      const charge = "const charge = async ({ invoice }) => (console.log('charged ' + invoice), invoice)"
      const { child, printed } = start('bullmq.mjs', `${charge}\n${program}`)
      const ended = once(child, 'close')
      for (const invoice of ['a', 'a', 'b']) {
        const job = await queue.add('charge', { invoice }, { jobId: `invoice-${invoice}`, removeOnComplete: true })
        // BullMQ forgets a finished job: the second `a` is a new one for it.
        await expect.poll(() => queue.getJob(job.id ?? ''), { timeout: 10_000 }).toBeUndefined()
      }
      expect(printed()).toBe('charged a\ncharged b\n')
      child.kill('SIGKILL')
      await ended
    } finally {
      await queue.close()
      await redis.stop()
    }
  })
})

describe('the gateway blocks', () => {
  const part = section(readme, 'The gateway')
  const [shell] = blocks(part).filter(({ language }) => language === 'sh')
  const [sdk] = blocks(part).filter(({ language }) => language === 'js')

  test('show where the gateway listens as clients are told to call it', () => {
    const port = /--port (\d+)/.exec(shell?.text ?? '')?.[1]
    expect(port).toBeDefined()
    expect(shell?.text).toContain(`http://127.0.0.1:${port}/v1/`)
    expect(sdk?.text).toContain(`http://127.0.0.1:${port}/v1`)
  })
  test('send the key as a header, for the option of the SDK sends none', () => {
    expect(sdk?.text).toContain("'Idempotency-Key'")
    expect(sdk?.text).not.toContain('idempotencyKey')
  })
  test('are ten lines at most each', () => {
    for (const block of [shell, sdk]) expect(block?.text.trimEnd().split('\n').length).toBeLessThanOrEqual(10)
  })
  test('send a request that a gateway answers, twice with the same bytes', async () => {
    const body = /-d '([^']+)'/.exec(shell?.text ?? '')?.[1] ?? ''
    const key = /Idempotency-Key: ([^']+)'/.exec(shell?.text ?? '')?.[1] ?? ''
    const program = textOf('examples/gateway.mjs')
      .replace("'../packages/gateway/bin/oncekey.mjs'", JSON.stringify(join(root, 'packages/gateway/bin/oncekey.mjs')))
      .replace(/'Idempotency-Key': '[^']*'/, () => `'Idempotency-Key': ${JSON.stringify(key)}`)
      .replace(/JSON\.stringify\(\{ model[^\n]*\}\)/, () => JSON.stringify(body))
    expect(program).toContain(JSON.stringify(body))
    writeFileSync(join(folder, 'gateway.mjs'), program)
    const printed = execFileSync(process.execPath, [join(folder, 'gateway.mjs')], { encoding: 'utf8' })
    expect(printed.split('\n').slice(0, 2)).toEqual([
      '200 executed: call 1 of the provider',
      '200 replayed: call 1 of the provider',
    ])
  })
})

describe('the backup of operating.md', () => {
  test('copies a store that is open, and the copy replays', () => {
    const [block] = blocks(textOf('docs/guide/operating.md')).filter(({ language }) => language === 'js')
    const [store, copy] = [join(place, 'store'), join(place, 'copy')]
    const backup = join(folder, 'backup.mjs')
    writeFileSync(backup, block?.text ?? '')
    const program = join(folder, 'ask.mjs')
    writeFileSync(
      program,
      `import { execFileSync } from 'node:child_process'
import { createIdempotency } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'
const [path, ...copied] = process.argv.slice(2)
const once = createIdempotency({ store: lmdbStore(path), onAbandoned: 'unknown' })
console.log((await once.runDetailed({ key: 'k' }, async () => 42)).status)
if (copied.length > 0) execFileSync(process.execPath, copied)
`,
    )
    const ask = (...args: string[]): string => execFileSync(process.execPath, [program, ...args], { encoding: 'utf8' })
    expect(ask(store, backup, store, copy)).toBe('executed\n')
    expect(ask(copy)).toBe('replayed\n')
  })
})

describe('the rest', () => {
  test('shows the two commands', () => {
    const shell = blocks(readme).filter(({ language }) => language === 'sh')
    expect(shell.map(({ text }) => text.trim())).toEqual(
      expect.arrayContaining(['npm ci && npx oncekey demo', 'npm test']),
    )
  })
  test('says the oldest Node that the packages say', () => {
    const { engines } = JSON.parse(textOf('packages/oncekey/package.json')) as { engines: { node: string } }
    expect(engines.node).toBe('>=20.19')
    expect(readme).toContain('Node.js 20.19 or later')
  })
  test('says the promise in the words of the policy, and never "exactly once" as ours', () => {
    expect(readme).toContain(
      "One recorded outcome for a key, and, under `onAbandoned: 'unknown'`, at most one execution.",
    )
    expect(readme.match(/exactly once/g)?.length).toBe(1)
    expect(readme).toContain('never gives you "exactly once"')
  })
})
