/** The flags of `oncekey batch run`: its own, and those of the gateway that hold for it as well. */
import { gatewayOptions } from '../config/index.ts'
import { type FlagSpec, json } from './flag.ts'

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

/** All flags of `oncekey batch run`. */
export const batchFlags: readonly FlagSpec[] = [
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
  ...batchGatewayFlags.map(fromGateway),
]
