// Vectors in pgvector, and rows of documents in PostgreSQL, which land together with the outcome or not at all.

/** A table of vectors; `pool` is of a database that has the extension `vector`. */
export async function pgVectors(pool) {
  await pool.query('CREATE EXTENSION IF NOT EXISTS vector')
  await pool.query(
    'CREATE TABLE IF NOT EXISTS pieces (id text PRIMARY KEY, text text NOT NULL, vector vector NOT NULL)',
  )
  return {
    async upsert(rows) {
      for (const { id, text, vector } of rows) {
        await pool.query(
          'INSERT INTO pieces VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET text = excluded.text, vector = excluded.vector',
          [id, text, JSON.stringify(vector)],
        )
      }
    },
    async all() {
      return (await pool.query('SELECT id, text FROM pieces')).rows
    },
    async nearest(vector, limit) {
      return (
        await pool.query('SELECT id, text FROM pieces ORDER BY vector <-> $1 LIMIT $2', [JSON.stringify(vector), limit])
      ).rows
    },
  }
}

/** Rows in the database of the records, so that `attempt.commit` puts row and outcome into one transaction. */
export async function pgRows(pool) {
  await pool.query(`CREATE TABLE IF NOT EXISTS documents
    (name text PRIMARY KEY, digest text NOT NULL, pieces int NOT NULL, summary text NOT NULL, topic text NOT NULL)`)
  return {
    async write(attempt, row) {
      const client = await pool.connect()
      try {
        await client.query('BEGIN')
        // A plain insert: a second one would be refused, and there is none.
        await client.query('INSERT INTO documents VALUES ($1, $2, $3, $4, $5)', Object.values(row))
        await attempt.commit(client, row)
        await client.query('COMMIT')
        return row
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      } finally {
        client.release()
      }
    },
    async all() {
      return (await pool.query('SELECT * FROM documents')).rows
    },
  }
}
