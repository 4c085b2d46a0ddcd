/** The judge of images: a child process that is started again when an image kills it. */
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

/** How the machine comes back: told to trust only what was flushed, with another boot id, or as if it never stopped. */
export type Restart = 'safe restore' | 'another boot' | 'same boot'

/** An image that cannot be judged in this time hangs. */
const judgeMs = 10_000

/** Where a meta page, and the middle of the first one, hold the boot that wrote them (lmdb-js: MDB_meta.boot_id). */
const bootIdAt = [160, 2048 + 160, 4096 + 160] as const

/** Judges images one after the other in a folder of its own. */
export class Judge {
  readonly #settings: string
  readonly #folder: string
  #child: ChildProcess | undefined
  #lines: Interface | undefined

  constructor(folder: string, settings: { readonly seed: number; readonly keys: number }) {
    this.#folder = folder
    this.#settings = JSON.stringify(settings)
  }

  async judge(image: Image, restart: Restart): Promise<readonly Fault[]> {
    const folder = join(this.#folder, 'image')
    mkdirSync(folder, { recursive: true })
    const bytes = Buffer.from(image.bytes)
    if (restart === 'another boot')
      for (const at of bootIdAt) if (at < bytes.length) bytes.writeUInt8(~bytes[at]! & 255, at)
    writeFileSync(join(folder, 'data.mdb'), bytes)
    const open = restart === 'safe restore' ? { safeRestore: true } : {}
    const faults = await this.#ask(JSON.stringify({ folder, acks: image.acks, open }))
    rmSync(folder, { recursive: true })
    return faults
  }

  close(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async #ask(line: string): Promise<readonly Fault[]> {
    if (this.#child === undefined) {
      this.#child = spawn(process.execPath, [script, this.#settings], { stdio: ['pipe', 'pipe', 'inherit'] })
      this.#lines = createInterface({ input: this.#child.stdout! })
    }
    const child = this.#child
    const late = setTimeout(() => child.kill('SIGKILL'), judgeMs)
    const answered = new AbortController()
    const { signal } = answered
    try {
      const answer = once(this.#lines!, 'line', { signal }).then(
        ([text]) => (JSON.parse(text) as { faults: Fault[] }).faults,
      )
      const death = once(child, 'exit', { signal }).then(([code, by]): Fault[] => {
        this.#child = undefined
        return [['killed', `${by ?? code}`]]
      })
      answer.catch(() => {})
      death.catch(() => {})
      child.stdin!.write(`${line}\n`)
      return await Promise.race([answer, death])
    } finally {
      answered.abort()
      clearTimeout(late)
    }
  }
}
