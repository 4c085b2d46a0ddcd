// A script that is killed before it has its answer, and run again: it finds its key, gets the answer, and the provider is
// called once. The "kill" is a second fetch that knows nothing of the first but the file with the keys.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { idempotentFetch } from 'oncekey/client'

const oncekey = fileURLToPath(new URL('../packages/gateway/bin/oncekey.mjs', import.meta.url))
const flags = ['gateway', '--upstream', 'sandbox:', '--store', 'memory:', '--port', '0']
const gateway = spawn(process.execPath, [oncekey, ...flags], { stdio: ['ignore', 'pipe', 'ignore'] })
const { value: ready } = await createInterface({ input: gateway.stdout })[Symbol.asyncIterator]().next()
const url = /http:\/\/\S+/.exec(ready ?? '')?.[0]
if (url === undefined) throw new Error('The gateway did not start.')

const folder = mkdtempSync(join(tmpdir(), 'oncekey-client-'))
const file = join(folder, 'keys.json')
const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {})
const keys = {
  get: (name) => read()[name],
  set: (name, key) => writeFileSync(file, JSON.stringify({ ...read(), [name]: key })),
}

for (const run of ['first', 'second']) {
  const fetch = idempotentFetch({ persist: { keys, name: ({ headers }) => headers.get('x-line') ?? undefined } })
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { Authorization: 'Bearer pretend', 'Content-Type': 'application/json', 'x-line': 'line-7' },
    body: JSON.stringify({ model: 'pretend-1', messages: [{ role: 'user', content: 'Hello' }] }),
  })
  const { sandbox } = await answer.json()
  console.log(`${run} run: ${answer.headers.get('Idempotency-Status')}, call ${sandbox.call} of the provider`)
}

const { calls } = await (await fetch(`${url}/__sandbox/calls`)).json()
console.log(`the provider was called ${calls.length === 1 ? 'once' : `${calls.length} times`}`)
gateway.kill('SIGTERM')
rmSync(folder, { recursive: true })
