/** Every option of `oncekey gateway`, once: flag, variable, file key, default and meaning come from this table. */

/** How an option's value is written. */
export type OptionKind =
  | 'duration'
  | 'size'
  | 'integer'
  | 'boolean'
  | 'choice'
  | 'text'
  | 'header'
  | 'list'
  | 'upstream'

/** One option; `flag` is without its dashes. */
export interface OptionSpec {
  readonly flag: string
  readonly kind: OptionKind
  /** As a user would write it; '' when there is none. */
  readonly default: string
  readonly help: string
  readonly placeholder: string
  readonly words?: readonly string[]
  readonly bounds?: readonly [number, number]
  /** May stand in a route of the configuration file too. */
  readonly perRoute?: boolean
  /** Only in a file: no flag, no variable. */
  readonly fileOnly?: boolean
}

/** In the order of the help. */
export const gatewayOptions: readonly OptionSpec[] = [
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
    help: 'how long a claim holds without renewal, at least 500ms',
  },
  {
    flag: 'retention',
    kind: 'duration',
    default: '24h',
    placeholder: 'TIME',
    perRoute: true,
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
    flag: 'upstream-timeout',
    kind: 'duration',
    default: '30m',
    placeholder: 'TIME',
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
    help: 'largest request body that is covered',
  },
  { flag: 'max-outcome', kind: 'size', default: '64mb', placeholder: 'SIZE', help: 'largest answer that is recorded' },
  {
    flag: 'fail-open',
    kind: 'boolean',
    default: 'false',
    placeholder: '',
    help: 'execute unprotected when the store is down',
  },
  {
    flag: 'config',
    kind: 'text',
    default: '',
    placeholder: 'FILE',
    help: 'YAML or JSON with the same names in camelCase, and routes',
  },
  {
    flag: 'covered',
    kind: 'boolean',
    default: 'true',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'false passes the route through',
  },
  {
    flag: 'methods',
    kind: 'list',
    default: 'POST,PATCH',
    placeholder: '',
    fileOnly: true,
    help: 'methods that are covered',
  },
  {
    flag: 'mismatch',
    kind: 'choice',
    words: ['reject', 'split'],
    default: 'reject',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'another request under the same key: 422, or an operation of its own',
  },
  {
    flag: 'require-key',
    kind: 'boolean',
    default: 'false',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'refuse requests without a key',
  },
  {
    flag: 'strict-keys',
    kind: 'boolean',
    default: 'false',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'accept only the quoted form of the key',
  },
  {
    flag: 'key-aliases',
    kind: 'list',
    default: '',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'further headers that may hold the key',
  },
  {
    flag: 'ignore',
    kind: 'list',
    default: '',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'JSON paths of the body that do not make a request another one',
  },
  {
    flag: 'replay-headers',
    kind: 'list',
    default: '',
    placeholder: '',
    perRoute: true,
    fileOnly: true,
    help: 'further response headers to keep and replay',
  },
]

/** The key in a configuration file: `on-abandoned` → `onAbandoned`. */
export function fileKey(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** The variable: `on-abandoned` → `ONCEKEY_ON_ABANDONED`. */
export function variable(flag: string): string {
  return `ONCEKEY_${flag.replaceAll('-', '_').toUpperCase()}`
}
