/** HTTPS by the gateway itself, as a real SDK sees it, with one process and with workers. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/gateway/src/sandbox/index.ts'
import { selfSigned } from '../../packages/gateway/test/certificates.ts'
import { freshKey, paid, Stage } from './harness.ts'

const stage = new Stage()
const certificate = selfSigned('localhost')
let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await stage.sandbox()
})
beforeEach(() => sandbox.reset())
afterAll(() => stage.close())

async function sdk(url: string, trusts: boolean): Promise<{ code: number; stdout: string; stderr: string }> {
  const script = fileURLToPath(new URL('./tls.mjs', import.meta.url))
  const env = { ...process.env, ...(trusts ? { NODE_EXTRA_CA_CERTS: certificate.cert } : {}) }
  const child = spawn(process.execPath, [script, url, freshKey()], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, stdout, stderr }
}

test.each([1, 2])(
  'the OpenAI SDK speaks HTTPS with %d process(es): an answer, its replay and a stream, two paid calls',
  async (workers) => {
    const flags = ['--tls-cert', certificate.cert, '--tls-key', certificate.key, '--workers', String(workers)]
    const gateway = await stage.gateway({ upstream: sandbox.url, flags })
    const { stdout, stderr } = await sdk(`https://localhost:${gateway.port}`, true)
    expect(stderr).not.toContain('Error')
    const { told, streamed } = JSON.parse(stdout) as { told: { how: string; text: string }[]; streamed: string }
    expect(told.map(({ how }) => how)).toEqual(['executed', 'replayed'])
    expect(told[0]?.text).toBe(told[1]?.text)
    expect(streamed).not.toBe('')
    expect(paid(sandbox)).toBe(2)
    // The control: one who does not trust the certificate sends nothing.
    expect((await sdk(`https://localhost:${gateway.port}`, false)).code).not.toBe(0)
    expect(paid(sandbox)).toBe(2)
    expect(await gateway.end('SIGTERM')).toEqual({ code: 0, signal: null })
  },
)
