/** An adapter in a process of its own over LMDB, killed and started again: for the crash cases of the suite. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { CrashingServer, WantedOptions } from '../../../src/testing/index.ts'

const program = fileURLToPath(new URL('server.mjs', import.meta.url))

/** The crash port of the suite for one of the adapters that `server.mjs` knows. */
export function crashing(adapter: string): (onAbandoned: WantedOptions['onAbandoned']) => Promise<CrashingServer> {
  return async (onAbandoned) => {
    const folder = mkdtempSync(join(tmpdir(), 'oncekey-crash-'))
    return start(adapter, onAbandoned, folder)
  }
}

async function start(adapter: string, onAbandoned: string, folder: string): Promise<CrashingServer> {
  const child = spawn(process.execPath, [program, adapter, onAbandoned, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const [url] = (await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    ended.then(([code]) => {
      throw new Error(`${adapter} ended with ${code} before it listened`)
    }),
  ])) as [string]
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return {
    url,
    kill,
    // The handler writes a byte before it does anything else.
    executions: () => readFileSync(join(folder, 'executions')).length,
    restart: () => start(adapter, onAbandoned, folder),
    async close() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
