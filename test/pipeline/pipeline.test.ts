/** The document pipeline, killed before, inside and after every step it has: what is paid, indexed and written. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { startPostgres } from '../../scripts/services.mjs'
import { Stage } from '../e2e/harness.ts'

const stage = new Stage()
afterAll(() => stage.close())

const child = fileURLToPath(new URL('child.mjs', import.meta.url))
const documents = fileURLToPath(new URL('../../examples/document-pipeline/documents', import.meta.url))

interface Written {
  readonly pieces: readonly { readonly id: string; readonly text: string }[]
  readonly rows: readonly { readonly name: string; readonly pieces: number }[]
}

/** Starts the pipeline again and again until no moment is left at which it can die; what the last one has written. */
async function killedAtEveryMoment(env: Readonly<Record<string, string>>, most = 150) {
  const moments = join(stage.folder(), 'moments')
  const place = { OPENAI_API_KEY: 'sk-test', DOCUMENTS: documents, DATA: stage.folder(), MOMENTS: moments, ...env }
  for (let processes = 1; processes <= most; processes++) {
    const program = stage.program(process.execPath, [child], 'ignore', place)
    const { code } = await program.exited
    if (code !== null && code !== 0) throw new Error(`the pipeline failed: ${program.stderr}`)
    if (code === null) continue
    const died = readFileSync(moments, 'utf8').split('\n').filter(Boolean)
    return { processes, died, written: JSON.parse(program.stdout.trim().split('\n').at(-1) ?? '') as Written }
  }
  throw new Error(`the pipeline is not through after ${most} processes`)
}

/** How often each call was paid for, by what it asked. */
function paidTimes(sandbox: Sandbox): number[] {
  const times = new Map<string, number>()
  for (const { bodySha256 } of sandbox.calls) times.set(bodySha256, (times.get(bodySha256) ?? 0) + 1)
  return [...times.values()]
}

function kindsOf(died: readonly string[]): Readonly<Record<string, number>> {
  const kinds: Record<string, number> = {}
  for (const moment of died) {
    const kind = moment.replace(/ \S+$/, '')
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  return kinds
}

async function gatewayBefore(sandbox: Sandbox): Promise<{ readonly OPENAI_BASE_URL: string }> {
  const gateway = await stage.gateway({ upstream: sandbox.url, store: stage.store() })
  return { OPENAI_BASE_URL: `${gateway.url}/v1` }
}

describe('on folders: LMDB and LanceDB', () => {
  test('killed at every moment, each call is paid once, no vector is there twice and no row is missing', {
    timeout: 240_000,
  }, async () => {
    const sandbox = await stage.sandbox()
    const { died, written } = await killedAtEveryMoment(await gatewayBefore(sandbox))
    const kinds = kindsOf(died)
    console.log(`${died.length} kills: ${JSON.stringify(kinds)}`)
    // Three documents of two pieces: four calls each, an index and a row.
    expect(kinds).toMatchObject({
      'before the call': 12,
      'after the call': 12,
      'before the index of': 3,
      'after the row of': 3,
    })
    expect(kinds['settled at']).toBeGreaterThanOrEqual(15)
    expect(paidTimes(sandbox)).toEqual(Array.from({ length: 12 }, () => 1))
    const ids = written.pieces.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toHaveLength(6)
    expect(written.rows.map(({ name }) => name).sort()).toEqual([
      'opening-hours.html',
      'second-quarter.pdf',
      'sourdough-notes.md',
    ])
    const text = written.pieces.map(({ text }) => text).join(' ')
    for (const sentence of ['blue is alive', 'examination in July', 'collect a bag from the rack']) {
      expect(text).toContain(sentence)
    }
    expect(text).not.toContain('never part of the text')
  })

  test('the control: with the library removed the same kills are paid for again and again', {
    timeout: 120_000,
  }, async () => {
    const sandbox = await stage.sandbox()
    const direct = { OPENAI_BASE_URL: `${sandbox.url}/v1`, MODE: 'naive', ONLY: 'sourdough-notes.md' }
    await killedAtEveryMoment(direct)
    const times = paidTimes(sandbox)
    console.log(`without the library: ${sandbox.calls.length} calls paid for ${times.length}`)
    expect(Math.max(...times)).toBeGreaterThan(3)
  })

  test('without a gateway a kill inside a step is one more payment, and all others are none', {
    timeout: 120_000,
  }, async () => {
    const sandbox = await stage.sandbox()
    const direct = { OPENAI_BASE_URL: `${sandbox.url}/v1`, ONLY: 'sourdough-notes.md' }
    const { died } = await killedAtEveryMoment(direct)
    const inside = kindsOf(died)['after the call'] ?? 0
    // Beside the one that was killed inside, its neighbour of the same moment may have been under way.
    expect(sandbox.calls.length).toBeLessThanOrEqual(4 + 2 * inside)
    expect(Math.max(...paidTimes(sandbox))).toBeLessThanOrEqual(4)
  })
})

describe('on servers: PostgreSQL and pgvector', () => {
  let places: { readonly DATABASE_URL: string; readonly VECTOR_URL: string }
  beforeAll(async () => {
    const postgres = await startPostgres()
    stage.add({ close: () => postgres.stop() })
    // pgvector itself, in PostgreSQL compiled to WebAssembly: Debian 12 has no package of it for its server.
    const lite = await PGlite.create({ extensions: { vector } })
    const socket = new PGLiteSocketServer({ db: lite, port: 0, host: '127.0.0.1' })
    await socket.start()
    stage.add({ close: () => socket.stop().then(() => lite.close()) })
    const [, port] = /:(\d+)$/.exec(socket.getServerConn()) ?? []
    places = { DATABASE_URL: postgres.url, VECTOR_URL: `postgres://postgres@127.0.0.1:${port}/postgres` }
  })

  test('killed at every moment, the row and its outcome are there once, and each call is paid once', {
    timeout: 120_000,
  }, async () => {
    const sandbox = await stage.sandbox()
    const only = { ...places, ONLY: 'second-quarter.pdf' }
    const { died, written } = await killedAtEveryMoment({ ...(await gatewayBefore(sandbox)), ...only })
    expect(kindsOf(died)).toMatchObject({
      'before the call': 4,
      'after the call': 4,
      'before the commit of': 1,
      'after the row of': 1,
    })
    expect(paidTimes(sandbox)).toEqual([1, 1, 1, 1])
    expect(written.pieces.map(({ id }) => id).sort()).toEqual(['second-quarter.pdf#0', 'second-quarter.pdf#1'])
    expect(written.rows).toMatchObject([{ name: 'second-quarter.pdf', pieces: 2 }])
  })
})
