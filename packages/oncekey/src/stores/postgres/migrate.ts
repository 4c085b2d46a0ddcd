/** Makes and upgrades the schema: once a version, whoever comes first, however many come at once. */
import { IdempotencyError } from '../../core/errors.ts'
import { identifier, isPool, type PostgresPool, queryOf } from './database.ts'
import { unavailable } from './errors.ts'
import { migrations } from './migrations/index.ts'

/** Options of `migrate`. */
export interface MigrateOptions {
  /** The schema of all tables and functions. Default `oncekey`. */
  readonly schema?: string
}

/** The schema where none is named. */
const defaultSchema = 'oncekey'

/**
 * Brings the schema up to this version. Safe to call at every start and from many processes at once: one migrates, the
 * others wait for it. Each call is one transaction, and it never takes away what a running process of the version before
 * uses. Needs a user that may create the schema, or owns it; `postgresStore` does not.
 */
export async function migrate(pool: PostgresPool, options: MigrateOptions = {}): Promise<void> {
  const schema = schemaOf(options.schema)
  if (!isPool(pool)) throw new IdempotencyError('config_invalid', 'migrate needs a pg Pool or a postgres instance.')
  const query = queryOf(pool)
  try {
    // One statement, so that it is one transaction on one connection, also behind PgBouncer.
    await query(migration(schema), [])
  } catch (error) {
    throw unavailable(error)
  }
}

/** A schema name that was given, or the default. */
export function schemaOf(name: string | undefined): string {
  const schema = name ?? defaultSchema
  // PostgreSQL would cut a longer name, and two long names could be one schema.
  if (schema === '' || Buffer.byteLength(schema) > 63 || schema.startsWith('pg_') || schema.includes('\0')) {
    throw new IdempotencyError('config_invalid', 'A schema name is 1 to 63 bytes and does not begin with pg_.')
  }
  return schema
}

/**
 * The whole migration as one DO block. The advisory lock lasts to the end of the transaction. Nothing is created where it
 * is there, for `IF NOT EXISTS` still asks for the right to create.
 */
function migration(schema: string): string {
  const name = literal(schema)
  const steps = migrations.map(
    ({ id, sql }) => `
  IF NOT EXISTS (SELECT FROM migrations m WHERE m.id = ${id}) THEN
    EXECUTE ${literal(sql)};
    INSERT INTO migrations (id) VALUES (${id});
  END IF;`,
  )
  return `DO ${literal(`
BEGIN
  -- 'oncekey' as a number, and the schema: two schemas may be migrated at once.
  PERFORM pg_advisory_xact_lock(1869505899, hashtext(${name}));
  IF to_regnamespace(${literal(identifier(schema))}) IS NULL THEN
    CREATE SCHEMA ${identifier(schema)};
  END IF;
  PERFORM set_config('search_path', ${literal(`${identifier(schema)}, pg_temp`)}, true);
  IF to_regclass(${literal(`${identifier(schema)}.migrations`)}) IS NULL THEN
    CREATE TABLE migrations (id int NOT NULL PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
  END IF;${steps.join('')}
END `)}`
}

/** A text as an SQL literal, whatever standard_conforming_strings says. */
function literal(text: string): string {
  const quoted = text.replaceAll("'", "''")
  return quoted.includes('\\') ? `E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`
}
