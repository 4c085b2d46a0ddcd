/** `attempt.commit(tx, answer)` over HTTP: the rows and the recorded answer are there together, or neither is. */
import express from 'express'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Server, startPostgres } from '../../../../../scripts/services.mjs'
import { type CommittedAnswer, idempotency, idempotencyOf, type RunningAttempt } from '../../../src/http/express.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import { migrate, postgresStore } from '../../../src/stores/postgres/index.ts'
import type { OpenedServer } from '../../../src/testing/index.ts'
import { post } from './post.ts'
import { serving } from './subject.ts'

let database: Server
let pool: pg.Pool
let server: OpenedServer

beforeAll(async () => {
  database = await startPostgres()
  pool = new pg.Pool({ connectionString: database.url })
  await migrate(pool)
  await pool.query('CREATE TABLE orders (key text)')
  const once = idempotency({ store: postgresStore(pool), onAbandoned: 'reexecute' })
  const app = express().use(once, express.json())
  app.post('/things', async (request, response) => {
    const attempt = idempotencyOf(request) as RunningAttempt
    const { key, answer, sent } = request.body as { key: string; answer: CommittedAnswer; sent?: unknown }
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await client.query('INSERT INTO orders VALUES ($1)', [key])
      await attempt.commit(client, answer)
      await client.query(request.get('x-end') ?? 'COMMIT')
    } finally {
      client.release()
    }
    response.status(answer.status ?? 200).json(sent ?? answer.body)
  })
  server = await serving(app, once.close)
}, 120_000)

afterAll(async () => {
  await server.close()
  await pool.end()
  await database.stop()
})

const ask = (key: string, more: object, end = 'COMMIT') =>
  post(server.url, { key, body: JSON.stringify({ key, ...more }), headers: { 'X-End': end } })
const rows = async (key: string): Promise<number | null> =>
  (await pool.query('SELECT FROM orders WHERE key = $1', [key])).rowCount

describe('attempt.commit', () => {
  test('records the answer with the rows, and the retry gets it', async () => {
    const answer = { status: 201, headers: { Location: '/orders/1' }, body: { id: 1 } }
    expect(await ask('a', { answer })).toMatchObject({ status: 201, how: 'executed', text: '{"id":1}' })
    const again = await ask('a', { answer })
    expect(again).toMatchObject({ status: 201, how: 'replayed', text: '{"id":1}' })
    expect([again.headers.get('location'), again.headers.get('content-type'), await rows('a')]).toEqual([
      '/orders/1',
      'application/json; charset=utf-8',
      1,
    ])
  })
  test('gives the caller what was recorded, whatever the handler sends afterwards', async () => {
    const answer = { body: 'recorded', headers: { 'Content-Type': 'text/plain' } }
    expect(await ask('b', { answer, sent: 'another one' })).toMatchObject({ status: 200, text: 'recorded' })
    expect(await ask('b', { answer, sent: 'another one' })).toMatchObject({ how: 'replayed', text: 'recorded' })
  })
  test('that is rolled back records nothing: the caller is told, and the next request executes', async () => {
    const answer = { body: { id: 3 } }
    const first = await ask('c', { answer }, 'ROLLBACK')
    expect(first).toMatchObject({ status: 500, how: 'refused', text: expect.stringContaining('not_committed') })
    expect(await rows('c')).toBe(0)
    expect(await ask('c', { answer })).toMatchObject({ how: 'executed', text: '{"id":3}' })
    expect(await rows('c')).toBe(1)
  })
  test('refuses what is no answer, and a store without transactions', async () => {
    const heard: unknown[] = []
    const once = idempotency({ store: memoryStore(), onAbandoned: 'reexecute' })
    const app = express().use(once)
    app.post('/things', async (request, response) => {
      const { commit } = idempotencyOf(request) as RunningAttempt
      for (const value of ['text', { status: 99 }, { body: 1 }])
        await commit({}, value).catch((error) => heard.push(error.message))
      response.send('ran')
    })
    const other = await serving(app, once.close)
    await post(other.url, { key: 'k' })
    await other.close()
    expect(heard).toEqual([
      expect.stringContaining('takes the answer that the handler is about to send'),
      expect.stringContaining('takes the answer that the handler is about to send'),
      expect.stringContaining('has no transactions of yours'),
    ])
  })
})
