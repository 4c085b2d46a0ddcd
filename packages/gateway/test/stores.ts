/** The stores that a gateway may stand on, each real, with its URL as an operator writes it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres, startRedis } from '../../../scripts/services.mjs'
import { bin, type Exit, Program } from './program.ts'

/** A store that runs. */
export interface RunningStore {
  readonly url: string
  stop(): Promise<void>
}

/** By the scheme of its URL. */
export const kinds: Readonly<Record<'lmdb' | 'redis' | 'postgres', () => Promise<RunningStore>>> = {
  lmdb: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'oncekey-operated-'))
    return { url: `lmdb:${folder}`, stop: async () => rmSync(folder, { recursive: true, force: true }) }
  },
  redis: () => startRedis(),
  postgres: () => startPostgres(),
}

/** What a command answered. */
export interface Ran extends Exit {
  readonly stdout: string
  readonly stderr: string
  /** Each line of stdout as JSON. */
  readonly json: readonly Record<string, unknown>[]
}

/** Runs a command of `oncekey` to its end. */
export async function oncekey(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const program = new Program(args, env)
  const exit = await program.exited
  const { stdout, stderr } = program
  const lines = stdout.split('\n').filter((line) => line !== '')
  return {
    ...exit,
    stdout,
    stderr,
    get json() {
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    },
  }
}

/** Runs a command of `oncekey` on a terminal, where `typed` answers its question. */
export async function onTerminal(args: readonly string[], typed: string): Promise<{ code: number; output: string }> {
  const command = [process.execPath, bin, ...args].map((part) => `'${part}'`).join(' ')
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'])
  let output = ''
  let answered = false
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString()
    if (answered || !output.includes('[y/N]')) return
    answered = true
    child.stdin.write(typed)
  })
  const [code] = (await once(child, 'close')) as [number]
  return { code, output }
}
