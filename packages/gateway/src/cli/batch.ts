/** `oncekey batch run`: a file of paid requests, run as often as it takes and paid for once. */
import { existsSync, realpathSync } from 'node:fs'
import { extname } from 'node:path'
import { systemClock } from 'oncekey/http'
import { usageOf } from 'oncekey/providers'
import {
  Batch,
  type BatchOptions,
  type BatchRequest,
  batchHeaders,
  counted,
  dollars,
  estimatedTokens,
  isFine,
  isRewritable,
  type Price,
  type Report,
  reportText,
  showProgress,
  survey,
} from '../batch/index.ts'
import { choice, integer, UsageError } from '../config/index.ts'
import type { Prices } from '../ledger/index.ts'
import { askerOf, type BatchTarget, batchConfig } from './asker.ts'
import { commandSpecs, type Flags, helpOf, readFlags } from './flags.ts'
import { pricesOf } from './ledger.ts'
import { print } from './operating.ts'

const spec = commandSpecs.batch

/** 0: every line has a result, and a good one; 1: some have none, or a bad one. */
export async function runBatch(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [name = '', ...rest] = args
  if (name === '--help' || name === '-h') {
    print(helpOf(spec))
    return 0
  }
  if (name !== 'run') throw new UsageError(`oncekey batch needs run: oncekey batch run FILE.jsonl --out OUT.jsonl`)
  const flags = readFlags(spec, rest, env)
  if (flags === undefined) {
    print(helpOf(spec))
    return 0
  }
  const path = flags.operand
  if (path === undefined) throw new UsageError('No file is named: oncekey batch run FILE.jsonl --out OUT.jsonl')
  const target = batchConfig(flags, env)
  return flags.on('dry-run') ? dryRun(path, flags, target) : run(path, flags, target, env)
}

async function run(path: string, flags: Flags, target: BatchTarget, env: NodeJS.ProcessEnv): Promise<number> {
  const own = await ownOptions(path, flags)
  const { config, url } = target
  const surveyed = await survey(path, config.route.maxBodyBytes, coverage(path, target))
  const headers = batchHeaders(
    {
      dialect: surveyed.dialect,
      upstream: target.kind === 'here' ? url : undefined,
      variable: flags.text('credential-env'),
      anonymous: config.route.dangerouslyAllowAnonymous === true,
    },
    env,
  )
  const asker = await askerOf(target, surveyed.firstTarget)
  try {
    const batch = await Batch.open({
      ...own,
      survey: surveyed,
      batchId: flags.text('batch-id') ?? surveyed.digest.slice(0, 32),
      ask: asker.ask,
      headers,
      waitMs: config.route.policy.waitMs,
      price: priceOf(pricesAt(target)),
      clock: systemClock,
      takenOver: asker.takenOver,
    })
    const report = await watched(batch, flags)
    print(flags.on('json') ? JSON.stringify(report) : reportText(report, own.out, own.errors))
    return isFine(report) ? 0 : 1
  } finally {
    await asker.close()
  }
}

/** Runs with progress; a first signal lets what runs finish, a second one ends at once. */
async function watched(batch: Batch, flags: Flags): Promise<Report> {
  const hide = flags.on('quiet') ? () => undefined : showProgress(batch.tally, process.stderr)
  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    batch.stop(`by ${signal}.`)
    if (!flags.on('quiet'))
      process.stderr.write(`\noncekey: stopping; ${counted(batch.running)} lines are running and are finished first.\n`)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    return await batch.run()
  } finally {
    hide()
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

async function dryRun(path: string, flags: Flags, target: BatchTarget): Promise<number> {
  const prices = pricesAt(target)
  const estimate = { inputTokens: 0, nanodollars: 0, unpriced: 0 }
  const covered = coverage(path, target)
  const { roll, dialect, digest } = await survey(path, target.config.route.maxBodyBytes, (request) => {
    covered(request)
    const inputTokens = estimatedTokens(request)
    estimate.inputTokens += inputTokens
    const price = prices?.nanodollars({ model: request.model, units: { inputTokens } }, request.model)
    estimate.nanodollars += price ?? 0
    if (price === undefined) estimate.unpriced += 1
  })
  const { inputTokens, unpriced } = estimate
  const usd = estimate.nanodollars / 1e9
  const batchId = flags.text('batch-id') ?? digest.slice(0, 32)
  if (flags.on('json')) {
    const plan = {
      batchId,
      lines: roll.count,
      format: dialect,
      estimatedInputTokens: inputTokens,
      estimatedInputUsd: usd,
      unpriced,
    }
    print(JSON.stringify(plan))
    return 0
  }
  const lacks = unpriced === 0 ? '' : `, without ${counted(unpriced)} lines whose model has no known price`
  print(
    [
      `${path}: ${counted(roll.count)} lines in the format of ${dialect}, each a request, no custom_id twice. Batch id ${batchId}.`,
      `Estimated from the size of the requests (four bytes a token): ${counted(inputTokens)} input tokens, ${dollars(usd)}${lacks}.`,
      'What the answers will cost is not in it: nobody knows their length yet. Nothing was sent.',
    ].join('\n'),
  )
  return 0
}

type OwnOptions = Pick<BatchOptions, 'out' | 'errors' | 'order' | 'concurrency' | 'limits'>

/** The flags of the batch itself. Throws UsageError. */
async function ownOptions(path: string, flags: Flags): Promise<OwnOptions> {
  const out = flags.text('out')
  if (out === undefined) throw new UsageError('No output is named. Say where results go: --out OUT.jsonl')
  const ending = extname(out)
  const beside = `${out.slice(0, out.length - ending.length)}.errors${ending}`
  const errors = flags.text('errors') ?? ((await isRewritable(out)) ? beside : `${path}.errors`)
  const files = [path, out, errors].map((file) => (existsSync(file) ? realpathSync(file) : file))
  if (new Set(files).size < files.length)
    throw new UsageError('The file, --out and --errors must be three different files.')
  const number = (flag: string, most: number): number | undefined => {
    const text = flags.text(flag)
    return text === undefined ? undefined : integer(text, `--${flag}`, 1, most)
  }
  return {
    out,
    errors,
    order: choice(flags.text('order') ?? 'input', '--order', ['input', 'completion'] as const),
    concurrency: number('concurrency', 1_000) ?? 16,
    limits: {
      requestsPerMinute: number('rpm', Number.MAX_SAFE_INTEGER),
      tokensPerMinute: number('tpm', Number.MAX_SAFE_INTEGER),
    },
  }
}

/** Refuses a line that no record would protect. */
function coverage(path: string, { kind, routeOf }: BatchTarget): (request: BatchRequest) => void {
  return ({ number, method, target, body }) => {
    const [place = ''] = target.split('?', 1)
    const { covered, methods } = routeOf(method, place, body)
    if (kind === 'gateway' || (covered && methods.includes(method))) return
    const sentence = `Line ${number} of ${path} is for ${place}, which the configuration does not cover.`
    throw new UsageError(`${sentence} Cover it, or a restart would pay for it again.`)
  }
}

/** The ledger's own prices; undefined before a gateway, which alone knows what is behind it. */
function pricesAt({ kind, name, config }: BatchTarget): Prices | undefined {
  return kind === 'here' ? pricesOf(config).get(name) : undefined
}

function priceOf(prices: Prices | undefined): Price {
  return ({ model }, answer) => {
    const usage = usageOf(answer)
    if (usage === undefined) return undefined
    const { inputTokens = 0, outputTokens = 0 } = usage.units
    return { tokens: inputTokens + outputTokens, nanodollars: prices?.nanodollars(usage, model) }
  }
}
