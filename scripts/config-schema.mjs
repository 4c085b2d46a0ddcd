// Writes packages/gateway/config.schema.json, which editors read, from the schema that the gateway parses with. Needs a build.
import { writeFileSync } from 'node:fs'
import { jsonSchema } from '../packages/gateway/dist/config/index.js'

const path = new URL('../packages/gateway/config.schema.json', import.meta.url)
writeFileSync(path, `${JSON.stringify(jsonSchema(), null, 2)}\n`)
console.log('packages/gateway/config.schema.json is written')
