/** `classify` by status, alone and through a gateway. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Classes, classifyBy } from '../../src/config/classify.ts'
import { freshKey, type GatewayProgram, type ScriptedUpstream, send, startGateway, startUpstream } from '../harness.ts'

const answer = (status: number, complete = true) =>
  ({ kind: 'response', status, header: () => undefined, complete }) as const

describe('the table', () => {
  const table: Classes = { '404': 'not_executed', '5xx': 'final', '503': 'indeterminate', '200': 'indeterminate' }
  const classify = classifyBy(table)

  test('says what an answer of its status is', () => {
    expect([404, 500, 599].map((status) => classify(answer(status)))).toEqual(['not_executed', 'final', 'final'])
  })
  test('says it of the exact status before its class', () => {
    expect([classify(answer(503)), classify(answer(502))]).toEqual(['indeterminate', 'final'])
  })
  test('leaves what it does not name to the defaults', () => {
    expect([400, 201, 301].map((status) => classify(answer(status)))).toEqual([undefined, undefined, undefined])
    expect(classify({ kind: 'failed', sent: true, cause: undefined })).toBeUndefined()
    expect(classify({ kind: 'threw', error: new Error('x'), dispatched: true })).toBeUndefined()
  })
  test('never makes an answer final that broke off, or half of it would be replayed as the whole', () => {
    expect(classify(answer(500, false))).toBeUndefined()
    expect(classify(answer(404, false))).toBe('not_executed')
    expect(classify(answer(200, false))).toBe('indeterminate')
  })
})

describe('through a gateway', () => {
  let upstream: ScriptedUpstream
  let gateway: GatewayProgram
  beforeAll(async () => {
    upstream = await startUpstream()
    const file = join(mkdtempSync(join(tmpdir(), 'oncekey-classify-')), 'oncekey.yaml')
    writeFileSync(
      file,
      `upstream: ${upstream.url}
classify: { 404: not_executed }
routes:
  - { path: /v1/own, classify: { '5xx': final, 503: not_executed } }
  - { path: /v1/careful, onAbandoned: unknown, classify: { 200: indeterminate } }
`,
    )
    gateway = await startGateway(undefined, ['--config', file])
  })
  afterAll(async () => {
    await gateway.kill()
    upstream.close()
  })

  /** How often the upstream is asked when a request is sent twice, its first answer having this status. */
  async function twice(path: string, status: number): Promise<[number, string | undefined]> {
    upstream.reset(({ response }, count) => response.writeHead(count === 1 ? status : 200).end('{}'))
    const key = freshKey()
    await send(gateway, { key, path })
    const { how } = await send(gateway, { key, path })
    return [upstream.calls.length, how]
  }

  test('an answer that is called final is recorded, and one that is called not executed is not', async () => {
    expect(await twice('/v1/own', 500)).toEqual([1, 'replayed'])
    expect(await twice('/v1/own', 503)).toEqual([2, 'executed'])
    expect(await twice('/v1/own', 404)).toEqual([1, 'replayed'])
  })
  test('the top level’s table holds where a route has none, the control for both', async () => {
    expect(await twice('/v1/other', 404)).toEqual([2, 'executed'])
    expect(await twice('/v1/other', 500)).toEqual([2, 'executed'])
  })
  test('an answer that is called indeterminate ends by the policy', async () => {
    expect(await twice('/v1/careful', 200)).toEqual([1, 'refused'])
  })
})
