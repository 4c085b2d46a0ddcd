/** The stores that chaos is made on, each with a cable of its own and whatever can happen to a server. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Server, startPostgres, startRedis } from '../../scripts/services.mjs'
import type { Stage } from '../e2e/harness.ts'
import { Cable } from './cable.ts'
import type { ChaosStore } from './chaos.ts'

/** Each store by its name. */
export const chaosStores: Readonly<Record<string, (stage: Stage) => Promise<ChaosStore>>> = {
  LMDB: async (stage) => ({ url: stage.store(), troubles: [] }),
  Redis: async (stage) => behindCable(stage, await startRedis()),
  PostgreSQL: async (stage) => behindCable(stage, await startPostgres()),
}

async function behindCable(stage: Stage, server: Server): Promise<ChaosStore> {
  stage.add({ close: () => server.stop() })
  const cable = stage.add(await Cable.to(server))
  const url = new URL(server.url)
  url.port = String(cable.port)
  const troubles = [
    {
      name: 'the server is killed',
      strike: async (chance: () => number) => {
        await server.kill()
        await sleep(chance() * 1_000)
        await server.start()
      },
    },
    {
      name: 'the cable is pulled',
      strike: async (chance: () => number) => {
        cable.pull()
        await sleep(chance() * 1_500)
        cable.plug()
      },
    },
    {
      // Longer than a call may take, shorter than a claim's patience.
      name: 'the server stands still',
      strike: async (chance: () => number) => {
        server.signal('SIGSTOP')
        await sleep(chance() * 3_500)
        server.signal('SIGCONT')
      },
    },
  ]
  return { url: url.href, troubles }
}
