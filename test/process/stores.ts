/** The stores that processes share; every call of what opening resolves to is the URL of one that nobody else uses. */
import { startPostgres, startRedis } from '../../scripts/services.mjs'
import type { Stage } from '../e2e/harness.ts'

/** By name, in the order of the tests. */
export const sharedStores: readonly (readonly [string, (stage: Stage) => Promise<() => string>])[] = [
  ['LMDB', async (stage) => () => stage.store()],
  ['Redis', async (stage) => apart(await opened(stage, startRedis), (at) => `?prefix=t${at}:`)],
  ['PostgreSQL', async (stage) => apart(await opened(stage, startPostgres), (at) => `?schema=t${at}`)],
]

async function opened(
  stage: Stage,
  start: () => Promise<{ readonly url: string; stop(): Promise<void> }>,
): Promise<string> {
  const server = await start()
  stage.add({ close: () => server.stop() })
  return server.url
}

/** One server for all, with a part of its own for each. */
function apart(url: string, part: (at: number) => string): () => string {
  let made = 0
  return () => `${url}${part(made++)}`
}
