/** An upstream that is out of reach: requests are refused at once, claims are free, and one probe asks whether it is back. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import {
  freshKey,
  type GatewayProgram,
  json,
  send,
  startGateway,
  startRawUpstream,
  startUpstream,
  until,
} from './harness.ts'

let server: Server
let gateway: GatewayProgram
let calls = 0

afterEach(async () => {
  await gateway.kill()
  server.close()
  server.closeAllConnections()
})

/** A port on which nobody listens, until `arrive`. */
async function away(): Promise<number> {
  calls = 0
  server = createServer((_, response) => {
    calls += 1
    json(response, { up: true })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const arrive = (port: number): Promise<void> => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
const opened = (): boolean => gateway.stderr.includes('an upstream cannot be reached')

/** Fails until the gateway has had enough. */
async function exhaust(): Promise<void> {
  while (!opened()) await send(gateway, { key: freshKey() })
}

test('a circuit that is open refuses at once with a hint, frees the key, and closes when the upstream is back', async () => {
  const port = await away()
  gateway = await startGateway(`http://127.0.0.1:${port}`, ['--on-abandoned', 'unknown'])
  await exhaust()
  const key = freshKey()
  for (const sent of [{ key }, { key }, { method: 'GET' }, {}]) {
    const startedMs = performance.now()
    const refused = await send(gateway, sent)
    expect([refused.status, refused.how, refused.json['code']]).toEqual([502, 'refused', 'upstream_unreachable'])
    expect([refused.json['may_have_run'], refused.header('x-should-retry')]).toEqual([false, 'true'])
    expect(Number(refused.header('retry-after-ms'))).toBeGreaterThan(0)
    expect(Number(refused.header('retry-after-ms'))).toBeLessThanOrEqual(1_000)
    expect(refused.json['detail']).toContain('out of reach for a while')
    expect(performance.now() - startedMs).toBeLessThan(120)
  }
  await arrive(port)
  let answer = await send(gateway, { key })
  while (answer.status === 502) answer = await send(gateway, { key })
  expect([answer.how, answer.json, calls]).toEqual(['executed', { up: true }, 1])
  expect((await send(gateway, { key })).how).toBe('replayed')
  await until(() => gateway.stderr.includes('an upstream can be reached again'))
})

test('an answer of 500, a broken connection and a time-out never open it', async () => {
  server = createServer()
  const failing = await startUpstream(({ response }) => json(response, {}, 500))
  const raw = await startRawUpstream((socket) => socket.resetAndDestroy())
  const silent = await startUpstream(() => undefined)
  for (const [url, args] of [
    [failing.url, []],
    [raw.url, []],
    [silent.url, ['--upstream-timeout', '100ms']],
  ] as const) {
    gateway = await startGateway(url, args)
    const endMs = performance.now() + 1_500
    let count = 0
    for (; performance.now() < endMs || count < 6; count++) await send(gateway, { key: freshKey() })
    expect(opened()).toBe(false)
    await gateway.kill()
  }
  expect(failing.calls.length).toBeGreaterThan(6)
  for (const upstream of [failing, raw, silent]) upstream.close()
})
