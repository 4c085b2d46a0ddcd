/** The gateway keeps the HTTP contract that every adapter keeps; what its upstream does is what their handlers do. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CrashingServer, httpConformance, nodeOrigin, type WantedOptions } from 'oncekey/testing'
import { afterAll, test } from 'vitest'
import { startGateway } from './harness.ts'
import { openGateway } from './in-process.ts'
import type { ScriptedUpstream } from './upstream.ts'

const folder = mkdtempSync(join(tmpdir(), 'oncekey-conformance-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0

/** The suite's options in a file, since not all of them are flags. */
function configOf(wanted: WantedOptions): string {
  const { requireKey, mismatch, methods, onDisconnect, maxBodyBytes, maxOutcomeBytes, waitMs, tenantHeader } = wanted
  const path = join(folder, `${files++}.json`)
  const config = {
    onAbandoned: wanted.onAbandoned,
    keyless: 'off',
    onDisconnect,
    tenantHeader,
    maxBody: maxBodyBytes === undefined ? undefined : `${maxBodyBytes}`,
    maxOutcome: maxOutcomeBytes === undefined ? undefined : `${maxOutcomeBytes}`,
    wait: waitMs === undefined ? undefined : `${waitMs}ms`,
    methods,
    requireKey,
    mismatch,
  }
  writeFileSync(path, JSON.stringify(config))
  return path
}

async function upstream(listener: RequestListener): Promise<Pick<ScriptedUpstream, 'url' | 'close'>> {
  const server: Server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

httpConformance(
  { test },
  {
    async open(origin, wanted) {
      const handler = nodeOrigin(origin)
      // An upstream whose handler throws is one whose connection breaks.
      const behind = await upstream(
        (request, response) => void handler(request, response).catch(() => response.destroy()),
      )
      const flags = ['--config', configOf(wanted)]
      const gateway = await openGateway(behind as ScriptedUpstream, { flags })
      return {
        url: `http://127.0.0.1:${gateway.port}`,
        async close() {
          await gateway.close()
          behind.close()
        },
      }
    },
    async crash(onAbandoned) {
      let executions = 0
      const behind = await upstream((_, response) => {
        executions += 1
        if (executions > 1) response.end(`{"execution":${executions}}`)
      })
      const store = `lmdb:${mkdtempSync(join(folder, 'store-'))}`
      const start = async (): Promise<CrashingServer> => {
        const flags = ['--store', store, '--on-abandoned', onAbandoned, '--lease', '500ms', '--skew', '200ms']
        const gateway = await startGateway(behind, flags)
        return {
          url: `http://127.0.0.1:${gateway.port}`,
          executions: () => executions,
          kill: () => gateway.kill(),
          restart: start,
          async close() {
            await gateway.kill()
            behind.close()
          },
        }
      }
      return start()
    },
  },
)
