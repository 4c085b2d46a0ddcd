// An operator's view of one record of an LMDB store: `node resolve.mjs STORE_PATH RECORD_ID [release]`.
import { createIdempotency } from 'oncekey'
import { lmdbStore } from 'oncekey/lmdb'

const [path, recordId, action] = process.argv.slice(2)
if (recordId === undefined) {
  console.error('usage: node resolve.mjs STORE_PATH RECORD_ID [release]')
  process.exit(2)
}
const store = lmdbStore(path)
const once = createIdempotency({ store, onAbandoned: 'unknown' })
const [{ record }] = await store.read([recordId])

if (record === undefined) console.log('absent: this key would execute as new')
else console.log(`${record.state}, attempt ${record.attempt}, began ${new Date(record.createdAt).toISOString()}`)
if (action === 'release' && record?.state === 'unknown') {
  // Compared with what was read: a record that has moved on meanwhile is left alone.
  console.log(await once.resolve(recordId, record, { released: true }))
}
await once.close()
await store.close()
