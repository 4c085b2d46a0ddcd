/** The file of results: taken up where an earlier run left it, appended to as lines end, and put in order at the end. */
import { constants } from 'node:fs'
import { type FileHandle, open, realpath, rename, stat, unlink } from 'node:fs/promises'
import { UsageError } from '../config/index.ts'
import { Appending, unwritable } from './appending.ts'
import { resultId } from './key.ts'
import { linesOf } from './lines.ts'
import { isObject } from './request.ts'
import { succeeded } from './result.ts'
import type { Survey } from './survey.ts'

/** In which order the lines of results stand in the end. */
export type Order = 'input' | 'completion'

/** Longest line of an earlier run: an answer of the largest size, with room for its frame. */
const maxLineBytes = 1024 * 1024 * 1024
/** Written in pieces of this size when a file is put in order. */
const pieceBytes = 1024 * 1024

/** The results of one batch. While it runs they stand in the order in which they came, whatever order is wanted. */
export class Output {
  /** Lines that an earlier run has finished. */
  readonly found: number
  readonly #survey: Survey
  readonly #lines: Appending
  readonly #order: Order
  /** False for a device or a pipe, which can only be appended to. */
  readonly #isFile: boolean
  /** Where the last line begins that was placed, to see whether the lines are in order anyway. */
  #inOrder = true
  #lastIndex = -1
  /** Lines are there that count no longer. */
  #stale: boolean

  private constructor(survey: Survey, lines: Appending, order: Order, found: Found | undefined) {
    this.#survey = survey
    this.#lines = lines
    this.#order = order
    this.#isFile = found !== undefined
    this.#stale = found?.stale ?? false
    this.found = new Set(found?.indexes).size
    for (const index of found?.indexes ?? []) this.#noted(index)
  }

  /**
   * Opens the file and notes in the roll what an earlier run has finished. Throws UsageError where it holds anything
   * that is no result of this batch.
   */
  static async open(survey: Survey, batchId: string, path: string, order: Order): Promise<Output> {
    let file: FileHandle
    try {
      file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600)
    } catch {
      file = await open(path, constants.O_WRONLY).catch((error: NodeJS.ErrnoException) => {
        throw new UsageError(`The output ${path} cannot be opened (${error.code}). Check --out.`)
      })
    }
    try {
      if ((await file.stat()).isFile()) {
        const found = await takeUp(survey, batchId, path)
        await file.truncate(found.length)
        return new Output(survey, new Appending(await realpath(path), file, found.length), order, found)
      }
      if (order === 'completion') return new Output(survey, new Appending(path, file, undefined), order, undefined)
      throw new UsageError(`${path} is not a file, so its lines cannot be put in order. Add --order completion.`)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Adds the result of a line. Throws WriteError. */
  async add(index: number, line: Buffer): Promise<void> {
    const offset = await this.#lines.append(line)
    this.#survey.roll.place(index, offset, line.length - 1)
    this.#noted(index)
  }

  /** Puts the lines in order where that is wanted and needed, and closes. Throws WriteError; then they stand as they came. */
  async close(): Promise<void> {
    // Lines of somebody else would be lost by it.
    if (!(await this.#lines.close())) return
    if (this.#isFile && (this.#stale || (this.#order === 'input' && !this.#inOrder))) await this.#rewrite()
  }

  #noted(index: number): void {
    this.#inOrder &&= index > this.#lastIndex
    this.#lastIndex = index
  }

  /** A new file beside the old one takes its place in one step, so that no moment has half of the results. */
  async #rewrite(): Promise<void> {
    const { path } = this.#lines
    const fresh = `${path}.sorting`
    try {
      const from = await open(path)
      const to = await open(fresh, 'w', 0o600)
      try {
        await this.#copy(from, to)
        await to.sync()
      } finally {
        await from.close()
        await to.close()
      }
      await rename(fresh, path)
    } catch (error) {
      await unlink(fresh).catch(() => undefined)
      throw unwritable(fresh, error)
    }
  }

  async #copy(from: FileHandle, to: FileHandle): Promise<void> {
    let gathered: Buffer[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      await to.appendFile(Buffer.concat(gathered))
      gathered = []
      bytes = 0
    }
    for (const { offset, length } of this.#places()) {
      const line = Buffer.alloc(length + 1)
      await from.read(line, 0, length + 1, offset)
      gathered.push(line)
      bytes += line.length
      if (bytes >= pieceBytes) await flush()
    }
    await flush()
  }

  *#places(): Generator<{ readonly offset: number; readonly length: number }> {
    const { roll } = this.#survey
    const indexes = Uint32Array.from({ length: roll.count }, (_, index) => index)
    const at = (index: number): number => roll.placeOf(index)?.offset ?? 0
    if (this.#order === 'completion') indexes.sort((a, b) => at(a) - at(b))
    for (const index of indexes) {
      const place = roll.placeOf(index)
      if (place !== undefined) yield place
    }
  }
}

interface Found {
  /** Of all whole lines, bytes. */
  readonly length: number
  /** Lines of finished requests, in the order of the file. */
  readonly indexes: readonly number[]
  readonly stale: boolean
}

/** Reads what an earlier run has left: finished lines are placed, failed ones are asked again, a torn last one is cut off. */
async function takeUp({ roll }: Survey, batchId: string, path: string): Promise<Found> {
  const indexes: number[] = []
  let length = 0
  let stale = false
  for await (const line of linesOf(path, maxLineBytes)) {
    if (!line.whole && isTorn(line.bytes)) break
    const json = parsed(line.bytes)
    const index = typeof json?.['custom_id'] === 'string' ? roll.find(json['custom_id']) : undefined
    if (json === undefined || index === undefined || json['id'] !== resultId(batchId, roll.content(index))) {
      const sentence = `Line ${line.number} of ${path} is no result of this batch: another file, another --batch-id, or a line that was changed.`
      throw new UsageError(
        `${sentence} Choose another --out; a changed file is a new batch, unless its --batch-id is the old one.`,
      )
    }
    length = line.offset + line.bytes.length + 1
    stale ||= !succeeded(json) || roll.placeOf(index) !== undefined
    if (!succeeded(json)) continue
    roll.place(index, line.offset, line.bytes.length)
    indexes.push(index)
  }
  return { length, indexes, stale }
}

/** How a result line of either format begins; what a power cut left may be zeros. */
const beginnings: readonly string[] = ['{"id":"batch_req_', '{"custom_id":"', '\0']

/** Can these be the first bytes of a result? A file of somebody else's, whose last line has no end, is not to be cut. */
function isTorn(bytes: Buffer): boolean {
  const text = bytes.subarray(0, 32).toString()
  return beginnings.some((beginning) => text.startsWith(beginning) || beginning.startsWith(text))
}

function parsed(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Is there something at the path that lines can be read back from? */
export async function isRewritable(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch {
    return true
  }
}
