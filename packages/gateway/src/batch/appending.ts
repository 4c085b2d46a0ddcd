/** A file that grows by whole lines: what could not be written whole is cut off again. */
import type { FileHandle } from 'node:fs/promises'

/** A file of results that cannot be written: nothing is lost, for the answers are in the store. */
export class WriteError extends Error {
  override readonly name = 'WriteError'
}

/** Appends lines one after another, many callers at once. */
export class Appending {
  readonly path: string
  readonly #file: FileHandle
  /** Undefined where there is no length: a pipe, a terminal. */
  #length: number | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(path: string, file: FileHandle, length: number | undefined) {
    this.path = path
    this.#file = file
    this.#length = length
  }

  /** Resolves to the offset of the line. Throws WriteError; then nothing of the line is left in the file. */
  append(line: Buffer): Promise<number> {
    const written = this.#last.catch(() => undefined).then(() => this.#append(line))
    this.#last = written
    return written
  }

  /** Resolves to whether the file holds what was appended and nothing else. */
  async close(): Promise<boolean> {
    await this.#last.catch(() => undefined)
    // A device that has no disk behind it cannot be synced, and need not be.
    await this.#file.sync().catch(() => undefined)
    const isOurs = await this.#isOurs()
    await this.#file.close()
    return isOurs
  }

  async #isOurs(): Promise<boolean> {
    return this.#length === undefined || (await this.#file.stat()).size === this.#length
  }

  async #append(line: Buffer): Promise<number> {
    const offset = this.#length ?? 0
    if (!(await this.#isOurs())) {
      throw new WriteError(`${this.path} is being written by somebody else. Let one batch at a time write to a file.`)
    }
    try {
      for (let at = 0; at < line.length; ) at += (await this.#file.write(line, at)).bytesWritten
    } catch (error) {
      if (this.#length !== undefined) await this.#file.truncate(offset).catch(() => undefined)
      throw unwritable(this.path, error)
    }
    if (this.#length !== undefined) this.#length += line.length
    return offset
  }
}

/** The sentence for a file that takes no more. */
export function unwritable(path: string, error: unknown): WriteError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new WriteError(`The disk under ${path} is full. Make room and run the command again: nothing is paid twice.`)
  }
  return new WriteError(`${path} cannot be written (${code ?? message}). Mend that and run the command again.`)
}
