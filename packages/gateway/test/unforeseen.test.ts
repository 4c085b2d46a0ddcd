/** What nobody foresaw: the caller gets one sentence, and whoever reads the log gets the reason. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshKey, type ScriptedUpstream, send, startUpstream } from './harness.ts'
import { openGateway } from './in-process.ts'

let upstream: ScriptedUpstream
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(() => upstream.close())

test('a part of the gateway that throws is in the log, and the provider is not called', async () => {
  const broken = new Error('a part that is broken')
  const upstreams = { has: () => fail(broken), get: () => fail(broken) } as never
  const gateway = await openGateway(upstream, { parts: { upstreams } })
  const answer = await send(gateway, { key: freshKey() })
  await gateway.close()
  expect(answer.status).toBe(500)
  expect(answer.json).toMatchObject({ code: 'internal' })
  expect(answer.text).not.toContain(broken.message)
  expect(gateway.failures).toEqual([broken])
  expect(upstream.calls).toHaveLength(0)
})

test('the control: a refusal that was meant is not in the log', async () => {
  const gateway = await openGateway(upstream)
  const answer = await send(gateway, { key: 'x'.repeat(5000) })
  await gateway.close()
  expect(answer.status).toBe(400)
  expect(gateway.failures).toEqual([])
})

function fail(error: Error): never {
  throw error
}
