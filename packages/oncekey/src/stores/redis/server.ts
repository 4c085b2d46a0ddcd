/** Looks at how a Redis is set up, and says what that is worth for the promise. */
import type { Finding, StoreCapabilities } from '../../core/store.ts'
import { textOf } from './answers.ts'
import { refusal } from './refusals.ts'
import type { Command, Primary, Reply } from './wire.ts'

/** What the store was told that bears on the findings. */
export interface Expectations {
  readonly waitReplicas: number
  readonly dangerouslyAllowEviction: boolean
}

/** What one server says of itself. */
interface Setup {
  readonly version: string
  readonly replica: boolean
  readonly replicas: number
  readonly policy: string
  readonly appendonly: boolean
  /** `unknown` where the provider forbids CONFIG. */
  readonly appendfsync: string
  /** Commands that this user may not give. */
  readonly forbidden: readonly string[]
}

/** One of each kind of command that the store gives: scripts, and the walk of the sweeper. Neither changes anything. */
const probes: readonly Command[] = [
  ['EVAL', 'return 1', '0'],
  ['SCAN', '0', 'COUNT', '1'],
]

/** The setup of one server. INFO tells all but `appendfsync`, also where CONFIG is forbidden. */
async function setupOf(primary: Primary): Promise<Setup> {
  const [info, config, ...probed] = await primary.send([['INFO'], ['CONFIG', 'GET', 'appendfsync'], ...probes])
  if (info instanceof Error) throw refusal(info)
  const fields = new Map<string, string>()
  for (const line of textOf(info).split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  const valkey = fields.get('valkey_version')
  return {
    version: valkey === undefined ? `Redis ${fields.get('redis_version') ?? 'unknown'}` : `Valkey ${valkey}`,
    replica: fields.get('role') === 'slave',
    replicas: Number(fields.get('connected_slaves') ?? 0),
    policy: fields.get('maxmemory_policy') ?? 'unknown',
    appendonly: fields.get('aof_enabled') === '1',
    appendfsync: lastText(config) ?? 'unknown',
    forbidden: probes.flatMap(([name], at) => (probed[at] instanceof Error ? [name] : [])),
  }
}

/** The value of a one-line table: a list in RESP2, a map or an object in RESP3. */
function lastText(reply: Reply): string | undefined {
  if (typeof reply !== 'object' || reply === null || reply instanceof Error) return undefined
  const values: unknown[] = reply instanceof Map ? [...reply.values()] : Object.values(reply)
  return values.length === 0 ? undefined : textOf(values.at(-1))
}

/** What the setup of all servers that take writes is worth; of several, the worst of each kind counts. */
export async function inspect(primaries: readonly Primary[], expected: Expectations): Promise<Inspection> {
  const setups = await Promise.all(primaries.map(setupOf))
  const all = setups.map((setup) => [
    version(setup),
    durability(setup),
    eviction(setup, expected),
    replicas(setup, expected),
    privileges(setup),
  ])
  const checks = (all[0] ?? []).map((first, at) => all.map((one) => one[at] ?? first).reduce(worse))
  return {
    findings: checks,
    durability: setups.map((setup) => durabilityOf(setup, expected)).reduce(weaker, 'replicated'),
  }
}

/** What was found, and what an acknowledged settle survives on all of the servers. */
export interface Inspection {
  readonly findings: readonly Finding[]
  readonly durability: StoreCapabilities['durability']
}

const levels = ['good', 'weaker', 'broken'] as const
const durabilities = ['none', 'process', 'disk', 'replicated'] as const

function worse(a: Finding, b: Finding): Finding {
  return levels.indexOf(b.level) > levels.indexOf(a.level) ? b : a
}

function weaker(a: Inspection['durability'], b: Inspection['durability']): Inspection['durability'] {
  return durabilities.indexOf(b) < durabilities.indexOf(a) ? b : a
}

/**
 * `replicated` where a write is acknowledged only once replicas have it. Else the append-only file decides: synced before
 * each answer it is `disk`. Synced later it is `process`: our crash loses nothing, but everysec answers before it writes
 * while a sync is under way, so a crash of Redis can lose the last two seconds. Without the file a restart of Redis loses
 * all that came after its last snapshot, which is `none`.
 */
function durabilityOf(setup: Setup, { waitReplicas }: Expectations): Inspection['durability'] {
  if (waitReplicas > 0) return 'replicated'
  if (!setup.appendonly) return 'none'
  return setup.appendfsync === 'always' ? 'disk' : 'process'
}

function version({ version: found }: Setup): Finding {
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(found) ?? []).slice(1).map(Number)
  if (major > 6 || (major === 6 && minor >= 2)) {
    return { check: 'version', level: 'good', found, meaning: 'This version has all that the scripts use.' }
  }
  const meaning = 'The scripts are written for Redis 6.2 and later, and for Valkey. Upgrade the server.'
  return { check: 'version', level: 'broken', found, meaning }
}

function durability({ appendonly, appendfsync }: Setup): Finding {
  if (!appendonly) {
    const meaning =
      'A restart of Redis forgets every record since its last snapshot, and a retry of what was forgotten is executed again. Set appendonly yes.'
    return { check: 'durability', level: 'weaker', found: 'appendonly no', meaning }
  }
  const found = `appendonly yes, appendfsync ${appendfsync}`
  if (appendfsync === 'always') {
    const meaning = 'What was acknowledged survives a crash of Redis and a power cut.'
    return { check: 'durability', level: 'good', found, meaning }
  }
  const meaning =
    'A crash of Redis or a power cut can lose the last two seconds or more, and a retry of what was lost is executed again. Set appendfsync always.'
  return { check: 'durability', level: 'weaker', found, meaning }
}

function eviction({ policy }: Setup, { dangerouslyAllowEviction }: Expectations): Finding {
  const found = `maxmemory-policy ${policy}`
  if (policy === 'noeviction') {
    const meaning = 'When its memory is full Redis refuses new operations, and forgets none.'
    return { check: 'eviction', level: 'good', found, meaning }
  }
  const meaning =
    'When its memory is full this Redis throws records away, and a retry of what was thrown away is executed again. Set maxmemory-policy noeviction.'
  return { check: 'eviction', level: dangerouslyAllowEviction ? 'weaker' : 'broken', found, meaning }
}

function replicas({ replica, replicas: count }: Setup, { waitReplicas }: Expectations): Finding {
  const found = replica ? 'role replica' : `${count} connected replicas, waitReplicas ${waitReplicas}`
  if (replica) {
    const meaning = 'A replica takes no writes. Connect to the primary, or by Sentinel or as a cluster.'
    return { check: 'replicas', level: 'broken', found, meaning }
  }
  if (count < waitReplicas) {
    const meaning = 'Until more replicas are connected every durable write is refused.'
    return { check: 'replicas', level: 'weaker', found, meaning }
  }
  if (count > 0 && waitReplicas === 0) {
    const meaning =
      'A failover loses what was acknowledged and not replicated yet, whatever appendfsync is; a retry of that is executed again. Set waitReplicas.'
    return { check: 'replicas', level: 'weaker', found, meaning }
  }
  const meaning =
    count === 0
      ? 'There is nothing to fail over to: the loss of this machine is the loss of its records.'
      : 'A failover to a replica that has acknowledged loses nothing.'
  return { check: 'replicas', level: 'good', found, meaning }
}

function privileges({ forbidden }: Setup): Finding {
  if (forbidden.length === 0) {
    const meaning = 'This user may run scripts and walk over the keys.'
    return { check: 'privileges', level: 'good', found: 'EVAL, SCAN', meaning }
  }
  const meaning = `Redis does not allow this user ${forbidden.join(' and ')}. The store needs +@scripting, +@read, +@write, +scan and +info on its keys.`
  return { check: 'privileges', level: 'broken', found: `no ${forbidden.join(', ')}`, meaning }
}
