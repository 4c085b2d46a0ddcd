/** The flags of the operators' commands, once: help, parsing and the reference page come from this table. */
import { parseArgs } from 'node:util'
import { gatewayOptions, presetNames, UsageError } from '../config/index.ts'

/** One flag; `flag` is without its dashes, and an empty placeholder makes it a switch. */
export interface FlagSpec {
  readonly flag: string
  readonly placeholder: string
  readonly help: string
}

/** A command with its own flags. */
export interface CommandSpec {
  /** `records list`. */
  readonly name: string
  /** What stands behind the name: `[RECORD_ID]`. */
  readonly operand: string
  readonly about: string
  readonly flags: readonly FlagSpec[]
}

const store: FlagSpec = {
  flag: 'store',
  placeholder: 'URL',
  help: 'the store: lmdb:PATH, redis://…, redis+cluster://…, postgres://… (ONCEKEY_STORE, else lmdb:.oncekey)',
}
const json: FlagSpec = { flag: 'json', placeholder: '', help: 'print JSON, a line each' }
const keyFile: FlagSpec = {
  flag: 'encryption-key-file',
  placeholder: 'FILE',
  help: 'the key file that the gateways were started with, if any',
}
const yes: FlagSpec = { flag: 'yes', placeholder: '', help: 'do not ask; needed where there is no terminal' }

/** How a record is named: by its id, or by what a caller sent. */
const naming: readonly FlagSpec[] = [
  { flag: 'key', placeholder: 'KEY', help: 'the idempotency key, in place of a record id' },
  {
    flag: 'scope',
    placeholder: 'SCOPE',
    help: "with --key: the request's method and path, 'POST /v1/chat/completions', or a library's scope",
  },
  { flag: 'tenant', placeholder: 'NAME', help: 'with --key: the tenant that a header or an application named' },
  {
    flag: 'credential-env',
    placeholder: 'NAME',
    help: "with --key: the variable that holds the caller's API key, which is the tenant where none is named",
  },
  {
    flag: 'pepper-file',
    placeholder: 'FILE',
    help: 'with --key: the file that the gateways were started with, if any',
  },
]

/** Options of the gateway that hold for a batch as well, in the order of its help. */
export const batchGatewayFlags: readonly string[] = [
  'upstream',
  'store',
  'no-migrate',
  'lease',
  'retention',
  'wait',
  'skew',
  'on-abandoned',
  'dangerously-allow-anonymous',
  'pepper-file',
  'encryption-key-file',
  'upstream-timeout',
  'max-body',
  'max-outcome',
  'config',
]

/** What means something else here, or is told better. */
const batchMeanings: Readonly<Record<string, string>> = {
  upstream: 'the API that the lines are for, as for the gateway; sandbox: is a pretend provider',
  store: 'where outcomes are kept: lmdb:PATH, redis://HOST, redis+cluster://HOST,HOST or postgres://HOST/DATABASE',
  wait: 'how long a line is waited for that another process runs',
  'on-abandoned': 'what becomes of lines that a dead process had begun: reexecute, or unknown (never run twice)',
  'dangerously-allow-anonymous': 'send no credential where the variable is not set',
  'max-body': 'largest body of a line',
}

function fromGateway(name: string): FlagSpec {
  const option = gatewayOptions.find(({ flag }) => flag === name)
  if (option === undefined) throw new RangeError(`The gateway has no option ${name}.`)
  const { flag, kind } = option
  const help = batchMeanings[flag] ?? option.help
  const known = option.default === '' || kind === 'boolean' ? '' : ` (${option.default})`
  // One batch has one upstream.
  return { flag, placeholder: flag === 'upstream' ? 'URL' : option.placeholder, help: `${help}${known}` }
}

const batchFlags: readonly FlagSpec[] = [
  { flag: 'out', placeholder: 'FILE', help: 'where results go; a file that an earlier run began is gone on with' },
  { flag: 'errors', placeholder: 'FILE', help: 'where failed lines go as well (OUT with .errors before its ending)' },
  { flag: 'batch-id', placeholder: 'ID', help: "what keys begin with (the file's digest)" },
  { flag: 'order', placeholder: 'ORDER', help: 'of the results: input or completion (input)' },
  { flag: 'concurrency', placeholder: 'N', help: 'lines that run at a time, 1 to 1000 (16)' },
  { flag: 'rpm', placeholder: 'N', help: 'requests a minute at most; limits in the answers are obeyed anyway' },
  { flag: 'tpm', placeholder: 'N', help: 'tokens a minute at most' },
  {
    flag: 'gateway',
    placeholder: 'URL',
    help: 'send to a gateway that runs there, in place of --upstream and --store',
  },
  {
    flag: 'credential-env',
    placeholder: 'NAME',
    help: "the variable with the API key, in place of the provider's usual",
  },
  { flag: 'dry-run', placeholder: '', help: 'check the file, estimate tokens and price, and send nothing' },
  { flag: 'quiet', placeholder: '', help: 'no progress' },
  json,
]

/** By what they are called in the code. */
export type CommandName =
  | 'batch'
  | 'migrate'
  | 'list'
  | 'show'
  | 'resolve'
  | 'release'
  | 'purge'
  | 'doctor'
  | 'ledger'
  | 'check'
  | 'init'

/** Every command of this table, in the order of the help. */
export const commandSpecs: Readonly<Record<CommandName, CommandSpec>> = {
  batch: {
    name: 'batch run',
    operand: 'FILE.jsonl',
    about: 'Runs the lines of a batch file. Run it again after a crash: finished lines are not paid for again.',
    flags: [...batchFlags, ...batchGatewayFlags.map(fromGateway)],
  },
  migrate: {
    name: 'migrate',
    operand: '',
    about: 'Creates or upgrades the PostgreSQL schema. Safe to repeat, and while gateways run.',
    flags: [
      store,
      { flag: 'schema', placeholder: 'NAME', help: "the schema, in place of the URL's ?schema= (oncekey)" },
    ],
  },
  list: {
    name: 'records list',
    operand: '',
    about: 'Shows the records of a store, in no order.',
    flags: [
      store,
      { flag: 'state', placeholder: 'STATE', help: 'only running, completed, released, unknown or expired ones' },
      { flag: 'limit', placeholder: 'N', help: 'at most this many, 1 to 1000 (50)' },
      { flag: 'cursor', placeholder: 'CURSOR', help: 'go on where the last page ended' },
      { flag: 'all', placeholder: '', help: 'page after page, to the end' },
      keyFile,
      json,
    ],
  },
  show: {
    name: 'records show',
    operand: '[RECORD_ID]',
    about: 'Shows one record, by its id or by the key that a caller sent.',
    flags: [store, ...naming, keyFile, json],
  },
  resolve: {
    name: 'records resolve',
    operand: '[RECORD_ID]',
    about: 'Ends an unknown or running record with the outcome in a file: every retry gets it from now on.',
    flags: [
      store,
      ...naming,
      {
        flag: 'outcome',
        placeholder: 'FILE',
        help: 'JSON: {"status": 200, "headers": {}, "body": …} for a request, {"value": …} for the library',
      },
      keyFile,
      yes,
      json,
    ],
  },
  release: {
    name: 'records release',
    operand: '[RECORD_ID]',
    about: 'Lets the key of an unknown or running record execute again: it may be done and paid for twice.',
    flags: [store, ...naming, yes, json],
  },
  purge: {
    name: 'records purge',
    operand: '[RECORD_ID]',
    about: 'Removes one ended record and its outcome; without one, ends now what gateways sweep away every minute.',
    flags: [store, ...naming, yes, json],
  },
  check: {
    name: 'config check',
    operand: 'FILE',
    about:
      'Says whether a configuration file is right and what would hold: upstreams with their presets, routes in order.',
    flags: [
      {
        flag: 'route',
        placeholder: 'REQUEST',
        help: "say which rules a request falls under and what holds for it: 'POST /v1/batches'",
      },
    ],
  },
  init: {
    name: 'config init',
    operand: '[FILE]',
    about:
      'Writes a configuration file to begin with (oncekey.yaml), every option in it with its default. Overwrites nothing.',
    flags: [{ flag: 'preset', placeholder: 'NAME', help: `the kind of API: ${presetNames.join(', ')} (openai)` }],
  },
  ledger: {
    name: 'ledger',
    operand: '',
    about: 'Says what was spent and what retries, joins and drains have saved, over all gateways of a store.',
    flags: [
      store,
      { flag: 'by', placeholder: 'LIST', help: 'lines by day, tenant, upstream, route, model, or several (model)' },
      { flag: 'since', placeholder: 'DAY', help: 'from this day on, UTC: 2026-11-01' },
      { flag: 'until', placeholder: 'DAY', help: 'up to and with this day' },
      { flag: 'tenant', placeholder: 'NAME', help: 'only one tenant, as the lines name it' },
      json,
    ],
  },
  doctor: {
    name: 'doctor',
    operand: '',
    about: 'Says what the setup of a store is worth. Exit code 1 when it does not hold what is demanded.',
    flags: [
      store,
      { flag: 'level', placeholder: 'LEVEL', help: 'what has to be survived: process, disk or replicated (disk)' },
      json,
    ],
  },
}

/** What was written behind a command. */
export interface Flags {
  text(flag: string): string | undefined
  on(flag: string): boolean
  /** The store's URL: flag before variable before default. */
  readonly store: string
  readonly operand: string | undefined
}

/** Reads the flags of a command; undefined when help was asked for. Throws UsageError. */
export function readFlags(spec: CommandSpec, args: readonly string[], env: NodeJS.ProcessEnv): Flags | undefined {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const { flag, placeholder } of spec.flags) options[flag] = { type: placeholder === '' ? 'boolean' : 'string' }
  const lists = `oncekey ${spec.name} --help lists the flags.`
  let parsed: { values: Record<string, unknown>; positionals: string[] }
  try {
    parsed = parseArgs({ args: dashed(spec, args), options, strict: true, allowPositionals: spec.operand !== '' })
  } catch (error) {
    const [reason = ''] = (error as Error).message.split('. ')
    throw new UsageError(`${reason.replace(/\.$/, '')}. ${lists}`)
  }
  const { values, positionals } = parsed
  if (values['help'] === true) return undefined
  const empty = Object.entries(values).find(([, value]) => typeof value === 'string' && value.trim() === '')
  if (empty !== undefined) throw new UsageError(`--${empty[0]} is empty. ${lists}`)
  if (positionals.length > 1) throw new UsageError(`There is one ${spec.operand} at most. ${lists}`)
  return {
    text: (flag) => values[flag] as string | undefined,
    on: (flag) => values[flag] === true,
    store: (values['store'] as string | undefined) ?? (env['ONCEKEY_STORE'] || 'lmdb:.oncekey'),
    operand: positionals[0],
  }
}

/** One record id in 64 begins with a dash and is no flag for that: it goes to the flag before it, else behind `--`. */
function dashed({ flags }: CommandSpec, args: readonly string[]): string[] {
  const valued = new Set(flags.filter(({ placeholder }) => placeholder !== '').map(({ flag }) => `--${flag}`))
  const before: string[] = []
  const behind: string[] = []
  for (const arg of args) {
    const last = before.at(-1) ?? ''
    if (before.includes('--') || !/^-[\w-]{42}$/.test(arg)) before.push(arg)
    else if (valued.has(last)) before.splice(-1, 1, `${last}=${arg}`)
    else behind.push(arg)
  }
  return behind.length === 0 ? before : [...before, '--', ...behind]
}

/** The help of a command. */
export function helpOf(spec: CommandSpec): string {
  const shown = spec.flags.map(({ flag, placeholder }) => `--${flag}${placeholder === '' ? '' : ` ${placeholder}`}`)
  const width = Math.max(26, ...shown.map((flag) => flag.length + 2))
  const lines = spec.flags.map(({ help }, at) => `  ${(shown[at] ?? '').padEnd(width)}${help}`)
  const usage = ['Usage: oncekey', spec.name, spec.operand, '[flags]'].filter((part) => part !== '').join(' ')
  return [usage, '', spec.about, '', ...lines].join('\n')
}
