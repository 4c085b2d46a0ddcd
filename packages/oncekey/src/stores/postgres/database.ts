/** The two drivers as one: a statement with its values goes out, rows of texts come back. */

/** What the store uses of a `pg` pool, or in a transaction of a `pg` client. */
export interface PgDatabase {
  query(config: PgQuery): Promise<{ readonly rows: unknown[] }>
}

/** What the store asks a `pg` pool or client. */
export interface PgQuery {
  readonly text: string
  readonly values: Value[]
  readonly rowMode: 'array'
  readonly types: { readonly getTypeParser: () => (cell: unknown) => unknown }
}

/** What the store uses of a `postgres` instance, or of the `sql` that `sql.begin` hands out. */
export interface PostgresDatabase {
  unsafe(text: string, values: Value[], options: { readonly prepare: boolean }): PostgresQuery
}

/** A query of `postgres` whose cells come as they are on the wire. */
export interface PostgresQuery {
  raw(): PromiseLike<readonly unknown[]>
}

/** A `pg` Pool or a `postgres` instance. The types of neither package are needed. */
export type PostgresPool = PgDatabase | PostgresDatabase

/** Text as the database prints it; null is null. */
export type Cell = string | null

/** What a query may carry. */
export type Value = string | number | Uint8Array

/** Makes one query. */
export type Query = (text: string, values: Value[]) => Promise<readonly Cell[][]>

/**
 * The parsers that a user has set for the types of his own queries must not meet ours, so cells stay texts: `Number` of a
 * text costs less than what they do. `pg` sends an unnamed statement and its values in one round trip. `postgres` needs two
 * for that, so it may keep a named one, unless its `prepare` option is false, as it has to be behind PgBouncer before 1.21.
 */
export function queryOf(database: PostgresPool): Query {
  if ('unsafe' in database) {
    return async (text, values) => {
      const rows = (await database.unsafe(text, values, { prepare: true }).raw()) as readonly (Buffer | null)[][]
      return rows.map((row) => row.map((cell) => (cell === null ? null : cell.toString('utf8'))))
    }
  }
  return async (text, values) => {
    const { rows } = await database.query({ text, values, rowMode: 'array', types })
    return rows as Cell[][]
  }
}

const types = { getTypeParser: () => (cell: unknown) => cell }

/** Is it something that can be asked? */
export function isPool(value: unknown): value is PostgresPool {
  const kinds = ['object', 'function']
  return kinds.includes(typeof value) && value !== null && ('unsafe' in Object(value) || 'query' in Object(value))
}

/** A name as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
