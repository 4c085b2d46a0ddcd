// What must work on every runtime; `smoke(origin)` runs it all against the server of serve() in runtimes.mjs. Web
// platform only, for it runs in workers too. A door more is one line in `parts`.
import { createIdempotency, memoryStore } from 'oncekey'
import { idempotentFetch } from 'oncekey/client'
import { idempotency, idempotencyOf } from 'oncekey/fetch'

const parts = { core, client, fetch: handler }

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

/** A handler that executes once, a stream that is joined by its replay, a refusal, and a request that is not covered. */
async function handler() {
  const once = idempotency({ store: memoryStore(), onAbandoned: 'unknown' })
  let calls = 0
  const serve = once(async (request) => {
    calls += 1
    const { fence = 0 } = idempotencyOf(request) ?? {}
    const body = `${await request.text()} ${calls} ${fence > 0}`
    if (!request.url.endsWith('/stream')) return Response.json({ body })
    const stream = new Response(body).body
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
  })
  const ask = async (path, key, body) => {
    const headers = { authorization: 'Bearer a', ...(key === undefined ? {} : { 'idempotency-key': key }) }
    const answer = await serve(new Request(`http://a.test${path}`, { method: 'POST', headers, body }))
    return `${answer.status} ${answer.headers.get('idempotency-status')} ${await answer.text()}`
  }
  const told = [
    await ask('/', 'k', 'x'),
    await ask('/', 'k', 'x'),
    await ask('/stream', 'k', 'data: s'),
    await ask('/stream', 'k', 'data: s'),
    (await ask('/', 'k', 'y')).slice(0, 11),
    await ask('/', undefined, 'z'),
  ]
  await once.close()
  const wanted = [
    '200 executed {"body":"x 1 true"}',
    '200 replayed {"body":"x 1 true"}',
    '200 executed data: s 2 true',
    '200 replayed data: s 2 true',
    '422 refused',
    '200 ignored {"body":"z 3 false"}',
  ]
  if (JSON.stringify(told) !== JSON.stringify(wanted)) throw new Error(`got ${JSON.stringify(told)}`)
}
