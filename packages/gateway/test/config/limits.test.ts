/** The limits of a route, through a gateway: beside each the same request on a route without it, the control. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  type Answer,
  freshKey,
  type GatewayProgram,
  type ScriptedUpstream,
  send,
  startGateway,
  startUpstream,
} from '../harness.ts'

let upstream: ScriptedUpstream
let gateway: GatewayProgram
beforeAll(async () => {
  upstream = await startUpstream()
  const file = join(mkdtempSync(join(tmpdir(), 'oncekey-limits-')), 'oncekey.yaml')
  writeFileSync(
    file,
    `upstream: ${upstream.url}
routes:
  - { path: '/v1/small*', maxBody: 1kb, maxOutcome: 1kb }
  - { path: '/v1/quick*', upstreamTimeout: 200ms }
  - { path: '/v1/passed-quick', covered: false, upstreamTimeout: 200ms }
`,
  )
  gateway = await startGateway(undefined, ['--config', file])
})
beforeEach(() => upstream.reset())
afterAll(async () => {
  await gateway.kill()
  upstream.close()
})

const sent = (path: string, key = freshKey(), body = '{}'): Promise<Answer> => send(gateway, { path, key, body })

test('a request over maxBody is refused on its route', async () => {
  const statuses = await Promise.all(['/v1/small', '/v1/other'].map((path) => sent(path, freshKey(), 'x'.repeat(2000))))
  expect(statuses.map(({ status }) => status)).toEqual([413, 200])
})

test('an answer over maxOutcome is not kept on its route', async () => {
  upstream.reset(({ response }) => response.end('x'.repeat(2000)))
  const twice = async (path: string): Promise<unknown[]> => {
    const key = freshKey()
    const first = await sent(path, key)
    const second = await sent(path, key)
    return [first.text.length, second.status, second.how]
  }
  expect(await twice('/v1/small')).toEqual([2000, 409, 'refused'])
  expect(await twice('/v1/other')).toEqual([2000, 200, 'replayed'])
})

test.each(['/v1/quick', '/v1/passed-quick'])(
  'an upstream that is silent for longer than upstreamTimeout is given up on %s',
  async (path) => {
    upstream.reset(({ response }) => setTimeout(() => response.end('{}'), 1500))
    const [slow, other] = await Promise.all([sent(path), sent('/v1/other')])
    expect([slow.status, slow.json['code'], other.status]).toEqual([504, 'upstream_timeout', 200])
  },
)
