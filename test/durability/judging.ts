/** The judge of images: a child process (judge.mjs) that is started again when an image kills it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Image } from './image.ts'

const script = fileURLToPath(new URL('judge.mjs', import.meta.url))

/** What is wrong with an image: a kind (`lost`, `half`, `wrong`, `unopenable`, `unreadable`, `killed`) and where. */
export type Fault = readonly [kind: string, detail: string]

/**
 * How the machine comes back: with another boot id, as after a power cut; or on the
 * same boot, as a copy of the disk that is put back while the machine runs.
 */
export const restarts = ['another boot', 'same boot'] as const
export type Restart = (typeof restarts)[number]

/** An image that cannot be judged in this time hangs. */
const judgeMs = 10_000

/** Where lmdb notes the boot that wrote a meta page: pages 0 and 1, and the middle of page 0 under overlapping sync. */
const bootIdAt = [160, 2_048 + 160, 4_096 + 160] as const

interface Running {
  readonly child: ChildProcess
  readonly lines: Interface
}

/** Judges images one after the other, each in a folder of its own. */
export class Judge {
  readonly #settings: string
  readonly #root: string
  #running: Running | undefined
  #judged = 0

  constructor(root: string, settings: { readonly seed: number; readonly keys: number }) {
    this.#root = root
    this.#settings = JSON.stringify(settings)
  }

  async judge(image: Image, restart: Restart): Promise<readonly Fault[]> {
    const folder = join(this.#root, `image-${++this.#judged}`)
    mkdirSync(folder)
    const bytes = Buffer.from(image.bytes)
    for (const at of restart === 'another boot' ? bootIdAt : []) {
      if (at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ 255, at)
    }
    writeFileSync(join(folder, 'data.mdb'), bytes)
    const faults = await this.#ask(JSON.stringify({ folder, acks: image.acks }))
    rmSync(folder, { recursive: true })
    return faults
  }

  close(): void {
    this.#running?.child.kill('SIGKILL')
    this.#running = undefined
  }

  /** One line to the child, one from it, or its death. */
  async #ask(line: string): Promise<readonly Fault[]> {
    this.#running ??= start(this.#settings)
    const { child, lines } = this.#running
    const late = setTimeout(() => child.kill('SIGKILL'), judgeMs)
    const asked = new AbortController()
    const { signal } = asked
    const answer = once(lines, 'line', { signal }).then(([text]) => (JSON.parse(text) as { faults: Fault[] }).faults)
    const death = once(child, 'exit', { signal }).then(([code, by]): Fault[] => {
      this.#running = undefined
      return [['killed', String(by ?? code)]]
    })
    // Whichever does not come is given up below.
    answer.catch(() => {})
    death.catch(() => {})
    try {
      child.stdin?.write(`${line}\n`)
      return await Promise.race([answer, death])
    } finally {
      asked.abort()
      clearTimeout(late)
    }
  }
}

function start(settings: string): Running {
  // LMDB says what it thinks of a broken page on stderr; the faults say it better.
  const child = spawn(process.execPath, [script, settings], { stdio: ['pipe', 'pipe', 'ignore'] })
  if (child.stdout === null) throw new Error('The judge has no stdout')
  // It may die while it is written to; that shows as its exit.
  child.stdin?.on('error', () => {})
  return { child, lines: createInterface({ input: child.stdout }) }
}
