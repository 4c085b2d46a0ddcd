// Starts `oncekey gateway` before the pretend provider, sends one request twice, and asks the provider for its bill.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const oncekey = fileURLToPath(new URL('../packages/gateway/bin/oncekey.mjs', import.meta.url))
const flags = ['gateway', '--upstream', 'sandbox:', '--store', 'memory:', '--port', '0']
const gateway = spawn(process.execPath, [oncekey, ...flags], { stdio: ['ignore', 'pipe', 'ignore'] })
const stopped = new Promise((resolve) => gateway.once('exit', resolve))

const [ready] = await Promise.race([
  createInterface({ input: gateway.stdout })
    [Symbol.asyncIterator]()
    .next()
    .then(({ value }) => [value]),
  stopped.then((code) => [`the gateway ended with ${code}`]),
])
const url = /http:\/\/\S+/.exec(ready)?.[0]
if (url === undefined) throw new Error(ready)

for (let turn = 1; turn <= 2; turn++) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      Authorization: 'Bearer pretend',
      'Content-Type': 'application/json',
      'Idempotency-Key': '"order-4711"',
    },
    body: JSON.stringify({ model: 'pretend-1', messages: [{ role: 'user', content: 'Hello' }] }),
  })
  const { sandbox } = await response.json()
  console.log(`${response.status} ${response.headers.get('Idempotency-Status')}: call ${sandbox.call} of the provider`)
}
const { calls } = await (await fetch(`${url}/__sandbox/calls`)).json()
console.log(`the provider was called ${calls.length === 1 ? 'once' : `${calls.length} times`}`)

gateway.kill('SIGTERM')
console.log(`the gateway stopped with ${await stopped}`)
