/** What the server's setup is worth: looked at before the first call, and told to operators. */
import { IdempotencyError } from '../../core/errors.ts'
import type { Finding } from '../../core/store.ts'
import { identifier, type Query } from './database.ts'

/** The settings that bear on the promise, as PostgreSQL prints them. */
export interface Setup {
  /** `server_version_num`: 150018 for 15.18. */
  readonly version: number
  readonly standby: boolean
  readonly fsync: string
  readonly fullPageWrites: string
  readonly synchronousCommit: string
  readonly synchronousStandbys: string
  /** Standbys that stream from this server now; undefined where this user may not see them. */
  readonly standbys: number | undefined
  /** `older`: made by a version before this one. */
  readonly schema: 'absent' | 'older' | 'current'
}

/** The oldest version that is tested; the ones before it are no longer maintained (PostgreSQL 14 ended in November 2026). */
const oldestVersion = 150000

/** One question, one round trip, nothing written. */
export async function setupOf(query: Query, schema: string): Promise<Setup> {
  const text = `SELECT current_setting('server_version_num'), pg_is_in_recovery(), current_setting('fsync'),
    current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
    (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),
    EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1::text AND p.proname = 'claim'),
    EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = 'steps')`
  const [row] = await query(text, [schema])
  const [version, standby, fsync, fullPageWrites, synchronousCommit, synchronousStandbys, standbys, made, current] =
    row ?? []
  return {
    version: Number(version),
    standby: standby === 't',
    fsync: fsync ?? '',
    fullPageWrites: fullPageWrites ?? '',
    synchronousCommit: synchronousCommit ?? '',
    synchronousStandbys: synchronousStandbys ?? '',
    standbys: standbys === null || standbys === undefined ? undefined : Number(standbys),
    schema: made !== 't' ? 'absent' : current === 't' ? 'current' : 'older',
  }
}

/** Does a commit wait for a standby? The settings do not say that the standby is another machine, which we believe. */
export function isReplicated(setup: Setup, durable: boolean): boolean {
  // Where it is off the store sets it to on for its own transactions, and then it waits for standbys too.
  const waits = ['on', 'remote_apply', ...(durable ? ['off'] : [])]
  return setup.synchronousStandbys !== '' && waits.includes(setup.synchronousCommit)
}

/** Refuses with one sentence what would break the promise; `allowed` names the option that waives what can be waived. */
export function refuse(setup: Setup, schema: string, allowed: boolean): void {
  if (setup.version < oldestVersion) throw refused(`PostgreSQL 15 or later is needed, this is ${versionOf(setup)}.`)
  if (setup.standby) throw refused('This PostgreSQL is a standby, which takes no writes. Connect to the primary.')
  const [weak] = weaknesses(setup)
  if (weak !== undefined && !allowed) {
    throw refused(
      `PostgreSQL runs with ${weak} = off: a crash of its machine can lose or damage what was acknowledged. ` +
        'Turn it on, or set the option dangerouslyAllowLoss.',
    )
  }
  if (setup.schema !== 'current') {
    const what = setup.schema === 'absent' ? 'is not there' : 'is of an older version'
    throw refused(`The schema ${identifier(schema)} ${what}. Call migrate(pool) once before the store is used.`)
  }
}

function weaknesses(setup: Setup): readonly string[] {
  return [...(setup.fsync === 'off' ? ['fsync'] : []), ...(setup.fullPageWrites === 'off' ? ['full_page_writes'] : [])]
}

/** What an operator should know, in the words of the settings. */
export function findingsOf(setup: Setup, durable: boolean, missing: readonly string[]): readonly Finding[] {
  return [
    versionFinding(setup),
    durabilityFinding(setup, durable),
    replicasFinding(setup),
    schemaFinding(setup),
    privileges(missing),
  ]
}

function versionFinding(setup: Setup): Finding {
  const found = `PostgreSQL ${versionOf(setup)}`
  if (setup.version >= oldestVersion)
    return { check: 'version', level: 'good', found, meaning: 'It has all that is used.' }
  return { check: 'version', level: 'broken', found, meaning: 'The schema cannot be made. Upgrade to 15 or later.' }
}

function durabilityFinding(setup: Setup, durable: boolean): Finding {
  const check = 'durability'
  const [weak] = weaknesses(setup)
  if (weak !== undefined) {
    const meaning = 'A crash of the machine can lose or damage what was acknowledged. Turn it on.'
    return { check, level: 'broken', found: `${weak} off`, meaning }
  }
  const found = `synchronous_commit ${setup.synchronousCommit}`
  if (setup.synchronousCommit !== 'off') {
    return { check, level: 'good', found, meaning: 'What was acknowledged survives a crash and a power cut.' }
  }
  if (durable) {
    const meaning =
      'Oncekey turns it on for each of its own transactions, so what was acknowledged survives a power cut.'
    return { check, level: 'good', found, meaning }
  }
  const meaning = 'A crash can lose what was acknowledged in its last moments. Leave dangerouslyAllowLoss out.'
  return { check, level: 'broken', found, meaning }
}

function replicasFinding(setup: Setup): Finding {
  const check = 'replicas'
  if (setup.standby) {
    const meaning = 'It takes no writes. Connect to the primary.'
    return { check, level: 'broken', found: 'a standby', meaning }
  }
  if (isReplicated(setup, true)) {
    const meaning = 'A commit waits for a standby: what was acknowledged survives the loss of this machine.'
    return { check, level: 'good', found: `synchronous_standby_names ${setup.synchronousStandbys}`, meaning }
  }
  const count = setup.standbys ?? 0
  const found = count === 0 ? 'no standby' : `${count} asynchronous ${count === 1 ? 'standby' : 'standbys'}`
  const meaning =
    'The loss of this machine, or a failover, can lose acknowledged records, and their keys execute again. ' +
    'Set synchronous_standby_names where that matters.'
  return { check, level: 'weaker', found, meaning }
}

function schemaFinding(setup: Setup): Finding {
  const check = 'schema'
  if (setup.schema === 'current')
    return { check, level: 'good', found: 'migrated', meaning: 'The functions of this version are there.' }
  const found = setup.schema === 'absent' ? 'not migrated' : 'of an older version'
  return { check, level: 'broken', found, meaning: 'Nothing can be recorded. Call migrate(pool) once.' }
}

function privileges(missing: readonly string[]): Finding {
  const check = 'privileges'
  if (missing.length === 0)
    return { check, level: 'good', found: 'granted', meaning: 'This user may do all that is needed.' }
  const found = `missing: ${missing.join(', ')}`
  return {
    check,
    level: 'broken',
    found,
    meaning: 'Calls will be refused. Grant them, or use the owner of the schema.',
  }
}

function versionOf(setup: Setup): string {
  return `${Math.floor(setup.version / 10_000)}.${setup.version % 10_000}`
}

function refused(sentence: string): IdempotencyError {
  return new IdempotencyError('config_invalid', sentence)
}

/** What this user may not do in the schema; empty where there is no schema. */
export async function missingPrivileges(query: Query, schema: string): Promise<readonly string[]> {
  const text = `SELECT format('%s on %s', lower(need.privilege), c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) need (privilege)
    WHERE n.nspname = $1::text AND c.relkind = 'r'
      AND c.relname IN ('records', 'chunks', 'keyless_lists', 'tallies', 'steps') AND NOT has_table_privilege(c.oid, need.privilege)
    UNION ALL SELECT 'usage on the schema' FROM pg_namespace n
    WHERE n.nspname = $1::text AND NOT has_schema_privilege(n.oid, 'USAGE') ORDER BY 1`
  return (await query(text, [schema])).map(([name]) => name ?? '')
}
