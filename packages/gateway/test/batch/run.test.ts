/** `oncekey batch run` as a user runs it, against the pretend provider, whose ledger says what was paid. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Sandbox, type SandboxCall, startSandbox } from '../../src/sandbox/index.ts'
import { until } from '../client.ts'
import { Program, startGateway } from '../program.ts'
import { anthropicLine, folder, openaiLine, openaiLines } from './file.ts'

let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await startSandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => sandbox.close())

const key = { OPENAI_API_KEY: 'sk-openai', ANTHROPIC_API_KEY: 'sk-ant' }

/** A batch in a folder of its own, which can be run again. */
class Bench {
  readonly folder = folder()
  readonly out = join(this.folder, 'out.jsonl')
  readonly errors = join(this.folder, 'out.errors.jsonl')
  readonly file = join(this.folder, 'in.jsonl')

  constructor(text: string) {
    writeFileSync(this.file, text)
  }

  start(flags: readonly string[] = [], env: Readonly<Record<string, string>> = key): Program {
    const where = flags.some((flag) => flag === '--gateway')
      ? []
      : ['--upstream', sandbox.url, '--store', `lmdb:${this.folder}/store`]
    return new Program(['batch', 'run', this.file, '--out', this.out, '--json', ...where, ...flags], env, this.folder)
  }

  async run(flags: readonly string[] = [], env: Readonly<Record<string, string>> = key): Promise<Ran> {
    const program = this.start(flags, env)
    const { code } = await program.exited
    const report = program.stdout === '' ? {} : (JSON.parse(program.stdout) as Record<string, unknown>)
    return { code, report, stderr: program.stderr }
  }

  lines(path = this.out): Record<string, never>[] {
    const texts = readFileSync(path, 'utf8').split('\n')
    return texts.filter((text) => text !== '').map((text) => JSON.parse(text) as Record<string, never>)
  }

  names(path = this.out): string[] {
    return this.lines(path).map((line) => line['custom_id'] as unknown as string)
  }
}

interface Ran {
  readonly code: number | null
  readonly report: Readonly<Record<string, unknown>>
  readonly stderr: string
}

/** How often each line was paid for; by the name in its body. */
function paid(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { marker = '', costUsd } of sandbox.calls) if (costUsd > 0) counts[marker] = (counts[marker] ?? 0) + 1
  return counts
}

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `line-${at}`)
const once = (count: number): Record<string, number> => Object.fromEntries(names(count).map((name) => [name, 1]))

describe('a batch', () => {
  test("in OpenAI's format: every line once, in order, and exit code 0", async () => {
    const bench = new Bench(openaiLines(50))
    const { code, report } = await bench.run()
    expect(code).toBe(0)
    expect(report).toMatchObject({
      lines: 50,
      executed: 50,
      replayed: 0,
      kept: 0,
      failed: 0,
      unknown: 0,
      left: 0,
      takenOver: 0,
    })
    expect(report['tokens']).toBe(sandbox.calls.reduce((sum, call) => sum + Math.ceil(call.bodyBytes / 4) + 20, 0))
    expect(paid()).toEqual(once(50))
    expect(bench.names()).toEqual(names(50))
    expect(bench.lines()[0]).toMatchObject({
      response: { status_code: 200, body: { object: 'chat.completion' } },
      error: null,
    })
    const { headers, path } = sandbox.calls[0] as SandboxCall
    expect([path, headers['authorization'], headers['idempotency-key']]).toEqual([
      '/v1/chat/completions',
      'Bearer sk-openai',
      undefined,
    ])
  })

  test("in Anthropic's format", async () => {
    const bench = new Bench(['a', 'b', 'c'].map((name) => `${anthropicLine(name)}\n`).join(''))
    expect(await bench.run()).toMatchObject({ code: 0, report: { executed: 3 } })
    expect(
      bench.lines().map(({ custom_id, result }) => [custom_id, (result as unknown as { type: string }).type]),
    ).toEqual([
      ['a', 'succeeded'],
      ['b', 'succeeded'],
      ['c', 'succeeded'],
    ])
    const { headers, path } = sandbox.calls[0] as SandboxCall
    expect([path, headers['x-api-key'], headers['anthropic-version']]).toEqual(['/v1/messages', 'sk-ant', '2023-06-01'])
  })

  test('that is run again keeps what is in the output, and takes the rest from the store', async () => {
    const bench = new Bench(openaiLines(20))
    await bench.run()
    const first = readFileSync(bench.out, 'utf8')
    expect(await bench.run()).toMatchObject({
      code: 0,
      report: { executed: 0, replayed: 0, kept: 20, usd: 0, tokens: 0 },
    })
    writeFileSync(bench.out, first.slice(0, Math.floor(first.length / 2)))
    const { report } = await bench.run()
    expect(report).toMatchObject({ executed: 0, failed: 0 })
    expect(Number(report['kept']) + Number(report['replayed'])).toBe(20)
    expect(Number(report['replayed'])).toBeGreaterThan(5)
    expect(readFileSync(bench.out, 'utf8')).toBe(first)
    expect(paid()).toEqual(once(20))
  })

  test('under another batch id is another batch', async () => {
    const bench = new Bench(openaiLines(3))
    await bench.run(['--batch-id', 'monday'])
    const other = join(bench.folder, 'tuesday.jsonl')
    await bench.run(['--batch-id', 'tuesday', '--out', other])
    expect(paid()).toEqual({ 'line-0': 2, 'line-1': 2, 'line-2': 2 })
  })

  test('whose line was changed under the same batch id does not get the old answer', async () => {
    const bench = new Bench(openaiLines(2))
    await bench.run(['--batch-id', 'x'])
    writeFileSync(bench.file, `${openaiLine('line-0')}\n${openaiLine('line-1', { temperature: 1 })}\n`)
    expect(await bench.run(['--batch-id', 'x'])).toMatchObject({ code: 2 })
    const other = join(bench.folder, 'other.jsonl')
    expect(await bench.run(['--batch-id', 'x', '--out', other])).toMatchObject({
      code: 1,
      report: { replayed: 1, failed: 1 },
    })
    expect(bench.lines(other)[1]).toMatchObject({ custom_id: 'line-1', error: { code: 'fingerprint_mismatch' } })
    expect(paid()).toEqual(once(2))
  })

  test('with lines that fail: they are in both files, the exit code is 1, and the next run asks them again', async () => {
    const bench = new Bench(openaiLines(4))
    sandbox.plan(['ok', 'status=400', 'status=500', 'ok'])
    const { code, report } = await bench.run(['--concurrency', '1'])
    expect([code, report['executed'], report['failed']]).toEqual([1, 2, 2])
    expect(bench.names()).toEqual(names(4))
    expect(bench.names(bench.errors)).toEqual(['line-1', 'line-2'])
    expect(bench.lines(bench.errors)[0]).toMatchObject({ response: { status_code: 400 }, error: null })
    sandbox.plan(['status=404'])
    expect(await bench.run(['--concurrency', '1'])).toMatchObject({
      code: 1,
      report: { executed: 1, kept: 2, failed: 1 },
    })
    expect(bench.names()).toEqual(names(4))
    expect(bench.names(bench.errors)).toEqual(['line-1'])
    expect(await bench.run()).toMatchObject({ code: 0, report: { executed: 1, kept: 3, failed: 0 } })
    expect(bench.names()).toEqual(names(4))
    expect(readFileSync(bench.errors, 'utf8')).toBe('')
    expect(paid()).toEqual(once(4))
  })

  test('under unknown: a call that broke is not run again, and the report says so at once', async () => {
    const bench = new Bench(openaiLines(3))
    sandbox.plan(['ok', 'status=500, billed', 'cut-before-head'])
    const flags = ['--on-abandoned', 'unknown', '--concurrency', '1']
    expect(await bench.run(flags)).toMatchObject({ code: 1, report: { executed: 1, unknown: 2, failed: 0 } })
    expect(await bench.run(flags)).toMatchObject({ code: 1, report: { kept: 1, executed: 0, unknown: 2 } })
    expect(bench.lines(bench.errors).map(({ error }) => error)).toMatchObject(
      [1, 2].map(() => ({ code: 'outcome_unknown' })),
    )
    expect(paid()).toEqual(once(3))
  })

  test('whose answers come as they please: chunked, coded, large, cut', async () => {
    const bench = new Bench(openaiLines(6))
    sandbox.plan(['chunked', 'gzip, chunked', 'size=3000000', 'chunked, cut=200', 'cut=200', 'cut-before-head'])
    expect(await bench.run(['--concurrency', '1'])).toMatchObject({ code: 1, report: { executed: 3, failed: 3 } })
    expect(
      bench
        .lines()
        .map(
          ({ response, error }) =>
            (response as unknown as { status_code: number } | null)?.status_code ??
            (error as unknown as { code: string }).code,
        ),
    ).toEqual([200, 200, 200, 'answer_broken', 'upstream_unreachable', 'upstream_unreachable'])
    expect(bench.lines()[1]).toMatchObject({ response: { body: { object: 'chat.completion' } } })
    expect(JSON.stringify(bench.lines()[2]).length).toBeGreaterThan(3_000_000)
    expect(sandbox.calls).toHaveLength(6)
    expect(await bench.run()).toMatchObject({ code: 0, report: { executed: 3, kept: 3 } })
  })

  test('that runs twice at the same time is paid for once', async () => {
    const bench = new Bench(openaiLines(40))
    sandbox.plan(new Array(40).fill('delay=50') as string[])
    const runs = await Promise.all(
      ['one', 'two'].map((name) => bench.run(['--out', join(bench.folder, `${name}.jsonl`)])),
    )
    expect(runs.map(({ code }) => code)).toEqual([0, 0])
    const sum = (count: string): number => runs.reduce((all, { report }) => all + Number(report[count]), 0)
    expect([sum('executed'), sum('replayed'), sum('failed')]).toEqual([40, 40, 0])
    expect(paid()).toEqual(once(40))
    const [one, two] = ['one', 'two'].map((name) => readFileSync(join(bench.folder, `${name}.jsonl`), 'utf8'))
    expect(one).toBe(two)
  })

  test('over an encrypted store: without the key nothing is replayed, and nothing is paid again either', async () => {
    const bench = new Bench(openaiLines(3))
    const keys = join(bench.folder, 'keys')
    writeFileSync(keys, `one ${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
    expect(await bench.run(['--encryption-key-file', keys])).toMatchObject({ code: 0 })
    const first = readFileSync(bench.out, 'utf8')
    writeFileSync(bench.out, '')
    expect(await bench.run()).toMatchObject({ code: 1, report: { executed: 0, failed: 3 } })
    expect(bench.lines()[0]).toMatchObject({ error: { code: 'outcome_not_replayable' } })
    expect(await bench.run(['--encryption-key-file', keys])).toMatchObject({ code: 0, report: { replayed: 3 } })
    expect(readFileSync(bench.out, 'utf8')).toBe(first)
    expect(paid()).toEqual(once(3))
  })

  test('in the order of completion', async () => {
    const bench = new Bench(openaiLines(3))
    sandbox.plan(['delay=600', 'delay=300', 'ok'])
    await bench.run(['--order', 'completion', '--concurrency', '3'])
    expect([...bench.names()].sort()).toEqual(names(3))
    expect(bench.names()).not.toEqual(names(3))
  })
})

describe('the bill', () => {
  test("is the provider's own to the cent, in the report and in the ledger, which knows what a second run spared", async () => {
    const bench = new Bench(openaiLines(25))
    const config = join(bench.folder, 'oncekey.yaml')
    writeFileSync(config, `prices: { 'pretend-*': { input: 2, output: 10 } }\n`)
    const flags = ['--config', config]
    const bill = async (): Promise<Record<string, number>> => {
      const ledger = new Program(['ledger', '--store', `lmdb:${bench.folder}/store`, '--json'])
      await ledger.exited
      const total = ledger.stdout.split('\n').find((line) => line.includes('"total":true'))
      return JSON.parse(total ?? '{}') as Record<string, number>
    }
    const { report } = await bench.run(flags)
    expect(report['usd']).toBe(sandbox.billUsd())
    expect(report['unpriced']).toBe(0)
    expect(await bill()).toMatchObject({ executed: 25, nanodollars: Math.round(sandbox.billUsd() * 1e9) })
    writeFileSync(bench.out, '')
    expect(await bench.run(flags)).toMatchObject({ report: { replayed: 25, usd: 0 } })
    expect(await bill()).toMatchObject({
      executed: 25,
      resumed: 25,
      resumedNanodollars: Math.round(sandbox.billUsd() * 1e9),
    })
  })
})

describe('before anything is paid', () => {
  test('a malformed last line refuses the whole file', async () => {
    const bench = new Bench(`${openaiLines(30)}{"custom_id":`)
    const { code, stderr } = await bench.run()
    expect([code, stderr]).toEqual([
      2,
      `oncekey: Line 31 of ${bench.file} is not a JSON object. Each line must be one whole request.\n`,
    ])
    expect(sandbox.calls).toHaveLength(0)
  })
  test('so does a custom_id that is there twice', async () => {
    const bench = new Bench(`${openaiLines(3)}${openaiLine('line-1')}\n`)
    const { code, stderr } = await bench.run()
    expect([code, stderr]).toEqual([
      2,
      `oncekey: Line 4 of ${bench.file} has the custom_id "line-1" of line 2. Give each line one of its own.\n`,
    ])
    expect(sandbox.calls).toHaveLength(0)
  })
  test('a missing credential is told, with the variable', async () => {
    const { code, stderr } = await new Bench(openaiLines(1)).run([], {})
    expect(code).toBe(2)
    expect(stderr).toContain('The variable OPENAI_API_KEY is not set')
    const anthropic = await new Bench(anthropicLine('a')).run([], {})
    expect(anthropic.stderr).toContain('The variable ANTHROPIC_API_KEY is not set')
    expect(sandbox.calls).toHaveLength(0)
  })
  test('a route that the configuration does not cover is refused', async () => {
    const bench = new Bench(openaiLines(2))
    const config = join(bench.folder, 'oncekey.yaml')
    writeFileSync(config, 'routes: [{ path: /v1/chat/*, covered: false }]\n')
    const { code, stderr } = await bench.run(['--config', config])
    const sentence =
      'is for /v1/chat/completions, which the configuration does not cover. Cover it, or a restart would pay for it again.'
    expect([code, stderr]).toEqual([2, `oncekey: Line 1 of ${bench.file} ${sentence}\n`])
    expect(sandbox.calls).toHaveLength(0)
  })
  test('a folder for the errors that is not there', async () => {
    const { code, stderr } = await new Bench(openaiLines(2)).run(['--errors', '/nowhere/errors.jsonl'])
    expect(code).toBe(1)
    expect(stderr).toContain('/nowhere/errors.jsonl cannot be written (ENOENT).')
    expect(sandbox.calls).toHaveLength(0)
  })
  test('an output of something else is left alone', async () => {
    const bench = new Bench(openaiLines(1))
    writeFileSync(bench.out, 'mine\n')
    expect(await bench.run()).toMatchObject({ code: 2 })
    expect(readFileSync(bench.out, 'utf8')).toBe('mine\n')
  })
  test.each([
    [['--concurrency', '0'], '--concurrency is "0" and must be a whole number from 1 to 1000.'],
    [['--order', 'random'], '--order is "random" and must be one of input, completion.'],
    [
      ['--store', 'memory:'],
      'The store memory: is gone with its process, and then a restart pays again. Use lmdb:PATH.',
    ],
    [['--lease', '1'], '--lease is "1" and must be a duration such as 500ms, 30s, 10m or 24h.'],
    [['--fail-open'], "Unknown option '--fail-open'. oncekey batch run --help lists the flags."],
    [['--gateway', 'x', '--lease', '1s'], '--lease is a matter of the gateway at --gateway. Leave one of the two out.'],
    [['--gateway', 'x'], '--gateway is "x", which is not a URL such as http://127.0.0.1:8787.'],
  ] as const)('%j is a usage error', async (flags, sentence) => {
    const { code, stderr } = await new Bench(openaiLines(1)).run(flags)
    expect([code, stderr]).toEqual([2, `oncekey: ${sentence}\n`])
  })
  test('a dry run counts and estimates, says so, and sends nothing', async () => {
    const bench = new Bench(openaiLines(10).replaceAll('pretend-1', 'gpt-5-mini'))
    const program = new Program(['batch', 'run', bench.file, '--dry-run', '--upstream', 'https://api.openai.com'])
    expect((await program.exited).code).toBe(0)
    expect(program.stdout).toMatch(
      /10 lines in the format of openai, each a request, no custom_id twice\. Batch id [0-9a-f]{32}\./,
    )
    expect(program.stdout).toMatch(
      /Estimated from the size of the requests \(four bytes a token\): \d+ input tokens, \$0\.\d{4}\.\n/,
    )
    expect(program.stdout).toContain(
      'What the answers will cost is not in it: nobody knows their length yet. Nothing was sent.',
    )
  })
})

describe("the provider's limits", () => {
  test('a 429 with retry-after-ms is obeyed by all lines, and no line is lost', async () => {
    const bench = new Bench(openaiLines(30))
    sandbox.plan(['ok', 'ok', 'status=429, retry-after-ms=700'])
    expect(await bench.run(['--concurrency', '1'])).toMatchObject({ code: 0, report: { executed: 30, failed: 0 } })
    const [, before, refused, next] = sandbox.calls
    // Without a refusal nobody waits.
    expect((refused?.startedAt ?? 0) - (before?.endedAt ?? 0)).toBeLessThan(350)
    expect((next?.startedAt ?? 0) - (refused?.endedAt ?? 0)).toBeGreaterThanOrEqual(690)
    expect(sandbox.calls).toHaveLength(31)
    expect(paid()).toEqual(once(30))
  })

  test('without a word about the time it backs off, twice as long each time', async () => {
    const bench = new Bench(openaiLine('line-0'))
    sandbox.plan(['status=429', 'status=529', 'status=503'])
    expect(await bench.run()).toMatchObject({ code: 0, report: { executed: 1 } })
    const gaps = sandbox.calls.slice(1).map(({ startedAt }, at) => startedAt - (sandbox.calls[at]?.startedAt ?? 0))
    expect(gaps.map((gap) => Math.round(gap / 500))).toEqual([1, 2, 4])
  })

  test('many refusals at once do not use up the tries of lines whose turn has not come', {
    timeout: 60_000,
  }, async () => {
    const bench = new Bench(openaiLines(40))
    sandbox.plan(Array.from({ length: 60 }, (_, at) => (at % 3 === 2 ? 'ok' : 'status=429, retry-after-ms=20')))
    expect(await bench.run(['--concurrency', '40'])).toMatchObject({ code: 0, report: { executed: 40, failed: 0 } })
    expect(paid()).toEqual(once(40))
  })

  test.each([
    ['OpenAI', (name: string) => openaiLine(name)],
    ['Anthropic', (name: string) => anthropicLine(name)],
  ] as const)('headers of %s that say that nothing is left are obeyed before anything is refused', async (_, line) => {
    const bench = new Bench(
      names(6)
        .map((name) => `${line(name)}\n`)
        .join(''),
    )
    sandbox.plan(['ok', 'remaining=0, reset-ms=900'])
    expect(await bench.run(['--concurrency', '1'])).toMatchObject({ code: 0, report: { executed: 6 } })
    const [first, second, third] = sandbox.calls
    expect((second?.startedAt ?? 0) - (first?.endedAt ?? 0)).toBeLessThan(440)
    // Anthropic's dates have whole milliseconds, and both clocks are one.
    expect((third?.startedAt ?? 0) - (second?.endedAt ?? 0)).toBeGreaterThanOrEqual(880)
    expect(sandbox.calls).toHaveLength(6)
  })

  test('that never end are given up: eight tries a line, and five lines in a row end the run', async () => {
    const bench = new Bench(openaiLines(50))
    sandbox.plan(new Array(200).fill('status=429, retry-after-ms=1') as string[])
    const { code, report } = await bench.run(['--concurrency', '1'])
    expect(code).toBe(1)
    expect(report).toMatchObject({ executed: 0, failed: 5, left: 45 })
    expect(report['stopped']).toBe(
      '5 lines in a row were refused 8 times each (answers 429). Run the command again later.',
    )
    expect(sandbox.calls).toHaveLength(40)
  })

  test("a user's own limit is obeyed", async () => {
    const bench = new Bench(openaiLines(8))
    await bench.run(['--rpm', '240'])
    const begun = sandbox.calls.map(({ startedAt }) => startedAt)
    // Four at once, which is a second's worth, then four a second. The first one's way to the provider is the longest.
    expect((begun.at(-1) ?? 0) - (begun[0] ?? 0)).toBeGreaterThanOrEqual(700)
  })

  test('a credential that is refused ends the run at once', async () => {
    const bench = new Bench(openaiLines(100))
    sandbox.plan(new Array(100).fill('status=401') as string[])
    const { code, report } = await bench.run(['--concurrency', '2'])
    expect(code).toBe(1)
    expect(report['stopped']).toBe(
      'The provider refused the credential or the account (401). Check it and run the command again.',
    )
    expect(sandbox.calls.length).toBeLessThanOrEqual(3)
    expect(report).toMatchObject({ left: 100, failed: 0 })
  })
})

describe('a signal', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} finishes what runs, reports and exits with 1; the next run does the rest`, async () => {
      const bench = new Bench(openaiLines(40))
      sandbox.plan(new Array(40).fill('delay=400') as string[])
      const program = bench.start(['--concurrency', '4'])
      await until(() => sandbox.calls.length >= 6)
      program.child.kill(signal)
      expect(await program.exited).toEqual({ code: 1, signal: null })
      expect(program.stderr).toContain('stopping; 4 lines are running and are finished first.')
      const report = JSON.parse(program.stdout) as Record<string, number>
      expect(report).toMatchObject({ failed: 0, unknown: 0, stopped: `by ${signal}.` })
      expect(report['executed']).toBe(sandbox.calls.length)
      expect(sandbox.calls.every(({ aborted }) => !aborted)).toBe(true)
      expect(bench.names()).toHaveLength(sandbox.calls.length)
      sandbox.plan(new Array(40).fill('ok') as string[])
      expect(await bench.run()).toMatchObject({ code: 0, report: { kept: report['executed'], replayed: 0 } })
      expect(paid()).toEqual(once(40))
    })
  }

  test('twice ends at once', async () => {
    const bench = new Bench(openaiLines(4))
    sandbox.plan(new Array(4).fill('delay=20000') as string[])
    const program = bench.start()
    await until(() => sandbox.calls.length === 4)
    program.child.kill('SIGINT')
    await until(() => program.stderr.includes('4 lines are running and are finished first.'))
    program.child.kill('SIGINT')
    expect(await program.exited).toEqual({ code: 1, signal: null })
  })
})

describe('an output that cannot be written', () => {
  test('ends the run, says so, and what was paid for is in the store', async () => {
    const bench = new Bench(openaiLines(60))
    const { code, report } = await bench.run(['--out', '/dev/full', '--order', 'completion', '--concurrency', '4'])
    expect(code).toBe(1)
    expect(report['stopped']).toContain('The disk under /dev/full is full.')
    expect(report['unwritten']).toBe(report['executed'])
    const paidFirst = sandbox.calls.length
    expect(paidFirst).toBeLessThan(20)
    expect(await bench.run()).toMatchObject({ code: 0, report: { replayed: paidFirst, executed: 60 - paidFirst } })
    expect(paid()).toEqual(once(60))
  })
})

describe('progress', () => {
  test('is a line in a log, none with --quiet, and never on stdout', async () => {
    const bench = new Bench(openaiLines(2))
    const program = new Program(
      [
        'batch',
        'run',
        bench.file,
        '--out',
        bench.out,
        '--upstream',
        sandbox.url,
        '--store',
        `lmdb:${bench.folder}/store`,
      ],
      key,
    )
    expect((await program.exited).code).toBe(0)
    expect(program.stderr).toBe('oncekey batch: 2 of 2 lines (100 %)\n')
    expect(program.stdout).toMatch(
      /^2 lines: 2 executed, 0 replayed, 0 kept, 0 failed, 0 unknown, 0 left\.\nSpent: \d+ tokens, /,
    )
    expect((await bench.run(['--quiet'])).stderr).toBe('')
  })
})

describe('through a gateway at a URL', () => {
  test('the gateway has the store: keys, replays and refusals are its own', async () => {
    const gateway = await startGateway(sandbox)
    const bench = new Bench(openaiLines(20))
    const at = ['--gateway', `http://127.0.0.1:${gateway.port}`]
    expect(await bench.run(at)).toMatchObject({ code: 0, report: { executed: 20, replayed: 0 } })
    writeFileSync(bench.out, '')
    const { report } = await bench.run(at)
    expect(report).toMatchObject({ executed: 0, replayed: 20 })
    expect(report).not.toHaveProperty('takenOver')
    expect(paid()).toEqual(once(20))
    await gateway.kill()
  })

  test('what is no gateway is found out before anything is paid', async () => {
    const bench = new Bench(openaiLines(20))
    const { code, stderr } = await bench.run(['--gateway', sandbox.url])
    expect(code).toBe(1)
    expect(stderr).toContain('is no Oncekey gateway, so a restart would pay again. Use --upstream for a provider.')
    expect(paid()).toEqual({})
  })

  test('nobody there is told in a sentence', async () => {
    const { code, stderr } = await new Bench(openaiLines(1)).run(['--gateway', 'http://127.0.0.1:9'])
    expect([code, stderr]).toEqual([
      1,
      'oncekey: The gateway http://127.0.0.1:9/ does not answer. Is it running there?\n',
    ])
  })
})
