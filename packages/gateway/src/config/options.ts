/** Every option of `oncekey gateway`, once: flag, variable, file key, default, meaning and schema come from this table. */
import { fileOptions } from './file-options.ts'
import type { KindValues } from './kinds.ts'
import type { OptionSpec } from './option.ts'

/** Those with a flag, in the order of the help. */
const flagOptions = [
  {
    flag: 'upstream',
    kind: 'upstream',
    default: '',
    placeholder: 'URL | NAME=URL',
    help: 'the API behind the gateway; several with names: the path prefix /NAME/ picks one. sandbox: is a pretend provider',
  },
  { flag: 'host', kind: 'text', default: '127.0.0.1', placeholder: 'HOST', help: 'address to listen on' },
  {
    flag: 'port',
    kind: 'integer',
    default: '8787',
    placeholder: 'PORT',
    bounds: [0, 65_535],
    help: 'port to listen on; 0 picks a free one',
  },
  {
    flag: 'store',
    kind: 'text',
    default: 'lmdb:.oncekey',
    placeholder: 'URL',
    help: 'where records are kept: memory:, lmdb:PATH, redis://HOST, redis+cluster://HOST,HOST or postgres://HOST/DATABASE',
  },
  {
    flag: 'no-migrate',
    kind: 'boolean',
    default: 'false',
    placeholder: '',
    help: 'leave the PostgreSQL schema as it is; oncekey migrate makes it',
  },
  {
    flag: 'workers',
    kind: 'integer',
    default: '1',
    placeholder: 'N',
    bounds: [1, 256],
    help: 'processes that share the port (not with memory:)',
  },
  {
    flag: 'lease',
    kind: 'duration',
    default: '30s',
    placeholder: 'TIME',
    leastMs: 500,
    help: 'how long a claim holds without renewal, at least 500ms',
  },
  {
    flag: 'retention',
    kind: 'duration',
    default: '24h',
    placeholder: 'TIME',
    perRoute: true,
    leastMs: 1,
    help: 'how long an outcome is kept',
  },
  {
    flag: 'wait',
    kind: 'duration',
    default: '10m',
    placeholder: 'TIME',
    perRoute: true,
    help: 'how long a duplicate waits for the running original',
  },
  {
    flag: 'skew',
    kind: 'duration',
    default: '2s',
    placeholder: 'TIME',
    help: 'margin before a lapsed lease is taken over',
  },
  {
    flag: 'on-abandoned',
    kind: 'choice',
    words: ['reexecute', 'unknown'],
    routeWords: ['reconcile'],
    default: 'reexecute',
    placeholder: 'POLICY',
    perRoute: true,
    help: 'what a retry finds after a crash: reexecute, or unknown (never run twice)',
  },
  {
    flag: 'on-disconnect',
    kind: 'choice',
    words: ['drain', 'abort'],
    default: 'drain',
    placeholder: 'WHAT',
    perRoute: true,
    help: 'what happens to a call whose caller hung up',
  },
  {
    flag: 'keyless',
    kind: 'choice',
    words: ['retries', 'off', 'content'],
    default: 'retries',
    placeholder: 'MODE',
    perRoute: true,
    help: 'requests without a key: match declared retries, nothing, or equal content',
  },
  {
    flag: 'tenant-header',
    kind: 'header',
    default: '',
    placeholder: 'NAME',
    help: 'header by which a trusted proxy names the tenant',
  },
  {
    flag: 'tenant-requests',
    kind: 'integer',
    default: '',
    placeholder: 'N',
    bounds: [1, 10_000],
    help: 'most requests of one tenant that run or wait in a process, and its share of the memory for bodies',
  },
  {
    flag: 'tenant-records',
    kind: 'integer',
    default: '',
    placeholder: 'N',
    bounds: [1, 1_000_000_000],
    help: 'most outcomes of one tenant that are kept, over all processes; then it executes nothing anew',
  },
  {
    flag: 'tenant-bytes',
    kind: 'size',
    default: '',
    placeholder: 'SIZE',
    leastBytes: 1,
    help: 'the same for the bytes of their bodies',
  },
  {
    flag: 'dangerously-allow-anonymous',
    kind: 'boolean',
    default: 'false',
    placeholder: '',
    help: 'keys without a credential share one tenant',
  },
  {
    flag: 'pepper-file',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'base64 of 32 bytes; else the store keeps its own',
  },
  {
    flag: 'encryption-key-file',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'encrypt answers in the store: a key a line, "id base64 of 32 bytes"; the first encrypts, all decrypt',
  },
  {
    flag: 'tls-cert',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'speak HTTPS: the certificate in PEM, with those up to its authority; needs --tls-key',
  },
  {
    flag: 'tls-key',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'the private key of --tls-cert in PEM; SIGHUP reads both again',
  },
  {
    flag: 'upstream-timeout',
    kind: 'duration',
    default: '30m',
    placeholder: 'TIME',
    perRoute: true,
    leastMs: 1,
    help: "for the upstream's head and between its bytes",
  },
  {
    flag: 'stop-grace',
    kind: 'duration',
    default: '25s',
    placeholder: 'TIME',
    help: 'how long running work may go on after SIGTERM',
  },
  {
    flag: 'max-body',
    kind: 'size',
    default: '64mb',
    placeholder: 'SIZE',
    perRoute: true,
    help: 'largest request body that is covered',
  },
  {
    flag: 'max-upload',
    kind: 'size',
    default: '8gb',
    placeholder: 'SIZE',
    perRoute: true,
    help: 'the same for files: what is no JSON and no form is kept on the disk while it comes in',
  },
  {
    flag: 'max-outcome',
    kind: 'size',
    default: '64mb',
    placeholder: 'SIZE',
    perRoute: true,
    help: 'largest answer that is recorded',
  },
  {
    flag: 'fail-open',
    kind: 'boolean',
    default: 'false',
    placeholder: '',
    help: 'execute unprotected when the store is down',
  },
  {
    flag: 'admin-port',
    kind: 'integer',
    default: '',
    placeholder: 'PORT',
    bounds: [0, 65_535],
    help: 'health, metrics and the records API on a port of their own; 0 picks a free one',
  },
  {
    flag: 'admin-host',
    kind: 'text',
    default: '127.0.0.1',
    placeholder: 'HOST',
    help: 'address of the admin port',
  },
  {
    flag: 'admin-token-file',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'bearer token of the admin port, for all but health; else a random one',
  },
  {
    flag: 'log',
    kind: 'choice',
    words: ['error', 'warn', 'info'],
    default: 'info',
    placeholder: 'LEVEL',
    help: 'what is logged: error, warn (what needs a look), or info (a line a request too)',
  },
  {
    flag: 'config',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'YAML or JSON with the same names in camelCase, and routes',
  },
] as const

/** A row is in one of the two lists, so that its flag and the type of its value are known to whoever asks for it. */
type Row = (typeof flagOptions)[number] | (typeof fileOptions)[number]

/** The value of a row; undefined where there is no default. */
type ValueOf<R extends OptionSpec> =
  | (R extends { readonly kind: 'choice'; readonly words: readonly (infer Word)[] } ? Word : KindValues[R['kind']])
  | (R['default'] extends '' ? undefined : never)

/** Every option by its flag, parsed. */
export type OptionValues = { readonly [R in Row as R['flag']]: ValueOf<R> }

/** In the order of the help, those of the file alone behind. */
export const gatewayOptions: readonly OptionSpec[] = [...flagOptions, ...fileOptions]
