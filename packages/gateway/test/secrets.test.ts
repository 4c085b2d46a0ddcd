/** Everything a store and a log hold, searched for what nobody may find there. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startPostgres, startRedis } from '../../../scripts/services.mjs'
import { Admin } from '../../../test/e2e/admin.ts'
import { beginEvents, json, type ScriptedUpstream, send, startGateway, startUpstream } from './harness.ts'
import { keyFile } from './keyfiles.ts'

/** A store, and every byte that it has kept. */
interface Searched {
  readonly url: string
  bytes(): Promise<Buffer>
  stop(): Promise<void>
}

/** All files below a folder. */
function filesIn(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Buffer.concat(files.map(({ parentPath, name }) => readFileSync(join(parentPath, name))))
}

const stores: Readonly<Record<string, () => Promise<Searched>>> = {
  lmdb: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'oncekey-secrets-'))
    const stop = async () => rmSync(folder, { recursive: true, force: true })
    return { url: `lmdb:${folder}`, bytes: async () => filesIn(folder), stop }
  },
  redis: async () => {
    // Its append-only file has every command that changed anything, as it was sent.
    const redis = await startRedis()
    return { url: redis.url, bytes: async () => filesIn(redis.folder), stop: () => redis.stop() }
  },
  postgres: async () => {
    const postgres = await startPostgres()
    const bytes = async (): Promise<Buffer> => {
      const client = new pg.Client(postgres.url)
      await client.connect()
      const tables = await client.query("SELECT tablename FROM pg_tables WHERE schemaname = 'oncekey'")
      const parts: Buffer[] = []
      for (const { tablename } of tables.rows as { tablename: string }[]) {
        const { rows } = await client.query({ text: `SELECT * FROM oncekey."${tablename}"`, rowMode: 'array' })
        // A bytea comes as a Buffer: text within it is found only as bytes.
        for (const cell of (rows as unknown[][]).flat())
          parts.push(Buffer.isBuffer(cell) ? cell : Buffer.from(JSON.stringify(cell) ?? ''))
      }
      await client.end()
      return Buffer.concat(parts)
    }
    return { url: postgres.url, bytes, stop: () => postgres.stop() }
  },
}

const secrets = {
  key: 'key-of-a-caller-4711',
  credential: 'sk-live-0123456789abcdef',
  prompt: 'why did the ship called Meridian not arrive',
  answer: 'the ship called Meridian never left its port',
  header: 'req-answered-by-someone',
} as const

let upstream: ScriptedUpstream
beforeAll(async () => {
  upstream = await startUpstream(({ url, response }, count) => {
    const id = { 'X-Request-Id': secrets.header }
    if (url === '/v1/chat/completions') {
      beginEvents(response, id)
      const event = `data: {"choices":[{"delta":{"content":"${secrets.answer}"}}]}\n\n`
      for (let at = 0; at < 5; at++) response.write(event)
      response.end('data: [DONE]\n\n')
    } else if (url === '/v1/long') json(response, { content: `${secrets.answer}. `.repeat(20_000) }, 200, id)
    else if (url === '/v1/fails' && count % 2 === 0) response.destroy()
    else json(response, { content: secrets.answer }, url === '/v1/refused' ? 400 : 200, id)
  })
})
afterAll(() => upstream.close())

/** Which secrets occur, by name; also in hexadecimal and base64. */
function found(where: Buffer): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const bytes = Buffer.from(secret)
    const forms = [bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('base64').slice(0, -4))]
    return forms.some((form) => where.includes(form)) ? [name] : []
  })
}

/** Real requests of every kind on a fresh store: where what they were made of can be read afterwards. */
async function leftBehind(start: () => Promise<Searched>, flags: readonly string[]) {
  const store = await start()
  const gateway = await startGateway(upstream, ['--store', store.url, '--admin-port', '0', ...flags])
  const as = `Bearer ${secrets.credential}`
  const body = JSON.stringify({ messages: [{ role: 'user', content: secrets.prompt }] })
  for (const path of ['/v1/things', '/v1/long', '/v1/chat/completions', '/v1/refused', '/v1/fails', '/v1/fails']) {
    for (const key of [`${secrets.key}${path}`, undefined]) {
      const headers = ['X-Stainless-Retry-Count', '0']
      for (let times = 0; times < 2; times++)
        await send(gateway, { path, as, body, headers, ...(key === undefined ? {} : { key }) })
    }
  }
  const other = { path: '/v1/things', as, body: `${body} `, key: `${secrets.key}/v1/things` }
  expect((await send(gateway, { ...other, body: '{"another":1}' })).status).toBe(422)
  expect((await send(gateway, { ...other, headers: ['Idempotency-Key', 'b'] })).status).toBe(400)
  const told = await everythingToldBy(new Admin(gateway.stdout))
  gateway.signal('SIGTERM')
  await gateway.exited
  const kept = await store.bytes()
  await store.stop()
  const logs = gateway.stdout + gateway.stderr
  // What nobody wrote hides nothing: a line for each request, a series for each route, a view of each record.
  expect(logs.split('"method":"POST"').length - 1).toBeGreaterThan(24)
  expect(told).toContain('route="POST /v1/chat/completions"')
  expect(told.split('"recordId"').length).toBeGreaterThan(8)
  return { store: found(kept), logs: found(Buffer.from(logs)), admin: found(Buffer.from(told)), kept }
}

/** All that the admin side has to say, refusals among it. */
async function everythingToldBy(admin: Admin): Promise<string> {
  const paths = [
    '/healthz',
    '/readyz',
    '/metrics',
    '/v1/records?limit=1000',
    '/v1/ledger?by=tenant,route,model',
    '/none',
  ]
  const texts: string[] = []
  for (const path of paths) texts.push((await admin.ask(path)).text)
  const { records } = JSON.parse(texts[3] ?? '') as { records: { recordId: string }[] }
  for (const { recordId } of records) {
    texts.push((await admin.ask(`/v1/records/${recordId}`)).text)
    texts.push((await admin.ask(`/v1/records/${recordId}`, { method: 'DELETE' })).text)
  }
  return texts.join('\n')
}

describe.each(Object.entries(stores))('%s', (_, start) => {
  test('with encryption on holds no key, credential, prompt or answer, and neither do the log and the admin side', async () => {
    const { store, logs, admin, kept } = await leftBehind(start, keyFile('k1'))
    expect(kept.length).toBeGreaterThan(100_000)
    expect([store, logs, admin]).toEqual([[], [], []])
  })
  test('the control: without it the answers are found there, and still no key, credential or prompt', async () => {
    const { store, logs, admin } = await leftBehind(start, [])
    expect([store, logs, admin]).toEqual([['answer', 'header'], [], []])
  })
})
