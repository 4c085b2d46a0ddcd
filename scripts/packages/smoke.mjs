// What must work on every runtime; `smoke(origin)` runs it all against the server of serve() in runtimes.mjs. Web
// platform only, for it runs in workers too. A door more is one line in `parts`.
import { createIdempotency, memoryStore } from 'oncekey'
import { idempotentFetch } from 'oncekey/client'

const parts = { core, client }

/** Runs every part; answers its names, or throws. */
export async function smoke(origin) {
  for (const [name, part] of Object.entries(parts)) {
    await part(origin).catch((error) => {
      throw new Error(`${name}: ${error.stack}`)
    })
  }
  return Object.keys(parts).join(' ')
}

/** One execution, one replay, one refusal. */
async function core() {
  const once = createIdempotency({ store: memoryStore(), onAbandoned: 'unknown' })
  let calls = 0
  const execute = async (attempt) => {
    await attempt.dispatching()
    calls += 1
    return { answer: calls }
  }
  const operation = { tenant: 'acme', scope: 'summary', key: 'order-1', input: { n: 1 } }
  const both = await Promise.all([once.run(operation, execute), once.run(operation, execute)])
  const { status, value } = await once.runDetailed(operation, execute)
  const refused = await once.run({ ...operation, input: { n: 2 } }, execute).catch(({ code }) => code)
  await once.close()
  const told = JSON.stringify([both, status, value, calls, refused])
  const wanted = '[[{"answer":1},{"answer":1}],"replayed",{"answer":1},1,"fingerprint_mismatch"]'
  if (told !== wanted) throw new Error(`got ${told}`)
}

/** A stream whose connection is cut in its middle. */
async function client(origin) {
  const answer = await idempotentFetch()(`${origin}/v1/cut`, { method: 'POST', body: '{}' })
  const text = await answer.text()
  if (text !== 'data: 1\n\ndata: 2\n\ndata: [DONE]\n\n') throw new Error(`got ${JSON.stringify(text)}`)
}
