// Vectors and rows in LanceDB: a folder, no server.
import { connect } from '@lancedb/lancedb'

/** A table whose rows are replaced by their key and never doubled. */
export async function lanceTable(folder, name, key) {
  const db = await connect(folder)
  let table = (await db.tableNames()).includes(name) ? await db.openTable(name) : undefined
  return {
    async upsert(rows) {
      if (rows.length === 0) return
      // Its shape is that of the first rows: the length of a vector is the model's.
      table ??= await db.createEmptyTable(name, await shapeOf(rows), { existOk: true })
      await table.mergeInsert(key).whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(rows)
    },
    async all() {
      return table === undefined ? [] : (await table.query().toArray()).map((row) => row.toJSON())
    },
    async nearest(vector, limit) {
      return (await table.vectorSearch(vector).limit(limit).toArray()).map((row) => row.toJSON())
    },
  }
}

async function shapeOf(rows) {
  const { makeArrowTable } = await import('@lancedb/lancedb')
  return makeArrowTable(rows).schema
}

/** Rows of documents. Written in a step of their own, under the document's name. */
export async function lanceRows(folder) {
  const table = await lanceTable(folder, 'documents', 'name')
  return {
    async write(attempt, row) {
      await attempt.step('row', () => table.upsert([row]))
      return row
    },
    all: () => table.all(),
  }
}
