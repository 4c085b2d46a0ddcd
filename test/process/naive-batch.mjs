/** What people write in place of a batch: a loop over the lines. `resume` skips what the output has; `memory` holds it all. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'

const [file, out, url, concurrency, how] = process.argv.slice(2)
const done = new Set()
if (how === 'resume' && existsSync(out)) {
  for (const line of readFileSync(out, 'utf8').split('\n').slice(0, -1)) done.add(JSON.parse(line).custom_id)
}
const results = []
const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
async function work() {
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    const { custom_id, url: path, body } = JSON.parse(line)
    if (done.has(custom_id)) continue
    const answer = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })
    const result = `${JSON.stringify({ custom_id, body: await answer.json() })}\n`
    if (how === 'memory') results.push(result)
    else appendFileSync(out, result)
  }
}
await Promise.all(Array.from({ length: Number(concurrency) }, work))
if (how === 'memory') writeFileSync(out, results.join(''))
