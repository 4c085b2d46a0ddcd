/** The PostgreSQL store does what every store must do: by both drivers, through PgBouncer, and on the server's own clock. */
import pg from 'pg'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type MovedClock, type Server, startPgBouncer, startPostgres } from '../../../../scripts/services.mjs'
import { storeConformance } from '../../src/testing/index.ts'
import { type Driver, damage, type OpenedPostgres, openPostgres } from './postgres.ts'

let server: Server & MovedClock
let bouncer: Server
let admin: pg.Pool

beforeAll(async () => {
  const started = await startPostgres({ clock: true })
  server = started
  bouncer = await startPgBouncer(started)
  admin = new pg.Pool({ connectionString: server.url, max: 2 })
}, 120_000)

afterAll(async () => {
  await admin.end()
  await bouncer.stop()
  await server.stop()
})

const ways: readonly (readonly [string, Driver, () => Server])[] = [
  ['pg', 'pg', () => server],
  ['postgres', 'postgres', () => server],
  ['pg through PgBouncer', 'pg', () => bouncer],
  ['postgres through PgBouncer', 'postgres', () => bouncer],
]

for (const [name, driver, to] of ways) {
  describe(name, () => {
    storeConformance<OpenedPostgres>(
      { test },
      { open: () => openPostgres(admin, to().url, { driver }), reopen: (opened) => opened.another(), damage },
    )
  })
}

describe('on the server’s own clock, moved', () => {
  storeConformance<OpenedPostgres>(
    { test },
    { open: () => openPostgres(admin, server.url, { clock: server }), reopen: (opened) => opened.another(), damage },
  )
})

describe('PostgreSQL 18', () => {
  let newer: Server
  let owner: pg.Pool
  beforeAll(async () => {
    newer = await startPostgres({ version: '18' })
    owner = new pg.Pool({ connectionString: newer.url, max: 2 })
  }, 120_000)
  afterAll(async () => {
    await owner.end()
    await newer.stop()
  })
  storeConformance<OpenedPostgres>(
    { test },
    { open: () => openPostgres(owner, newer.url), reopen: (opened) => opened.another(), damage },
  )
})
