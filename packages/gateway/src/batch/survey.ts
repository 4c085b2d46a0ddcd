/** Reads the whole file before anything is paid: every line a request, every name once, and what it amounts to. */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { UsageError } from '../config/index.ts'
import { contentOf } from './key.ts'
import { linesOf } from './lines.ts'
import { type BatchRequest, type Dialect, requestOf } from './request.ts'
import { Roll } from './roll.ts'

/** A line is a body and its frame, and a `custom_id` is short. */
const frameBytes = 1024 * 1024

/** What a file holds. */
export interface Survey {
  readonly path: string
  readonly dialect: Dialect
  readonly roll: Roll
  readonly maxBodyBytes: number
  /** SHA-256 of the file, hex. */
  readonly digest: string
  /** Path and query of the first line. */
  readonly firstTarget: string
}

/** Throws UsageError for a file that cannot be read, and for the first line that cannot be right. */
export async function survey(
  path: string,
  maxBodyBytes: number,
  each?: (request: BatchRequest) => void,
): Promise<Survey> {
  await checkFile(path)
  const roll = new Roll()
  const hash = createHash('sha256')
  let first: BatchRequest | undefined
  for await (const line of linesOf(path, maxBodyBytes + frameBytes)) {
    hash.update(line.bytes)
    if (line.whole) hash.update('\n')
    const request = requestOf(line, path)
    if (request === undefined) continue
    first ??= request
    if (request.body.length > maxBodyBytes) {
      const sentence = `Line ${line.number} of ${path} has a body of ${request.body.length} bytes, and ${maxBodyBytes} are allowed.`
      throw new UsageError(`${sentence} Raise --max-body.`)
    }
    if (request.dialect !== first.dialect) {
      const sentence = `Line ${line.number} of ${path} is in the format of ${request.dialect} and line ${first.number} in that of ${first.dialect}.`
      throw new UsageError(`${sentence} Make two files of it.`)
    }
    const earlier = roll.add(request.customId, contentOf(request), line.number)
    if (earlier !== undefined) {
      const sentence = `Line ${line.number} of ${path} has the custom_id ${JSON.stringify(request.customId)} of line ${earlier}.`
      throw new UsageError(`${sentence} Give each line one of its own.`)
    }
    each?.(request)
  }
  if (first === undefined) throw new UsageError(`${path} has no line.`)
  return { path, dialect: first.dialect, roll, maxBodyBytes, digest: hash.digest('hex'), firstTarget: first.target }
}

/** The requests of a file that has been surveyed, with their index. Throws an Error when it is another one by now. */
export async function* requestsOf({
  path,
  roll,
  maxBodyBytes,
}: Survey): AsyncGenerator<{ readonly index: number; readonly request: BatchRequest }> {
  const changed = (): Error =>
    new Error(`${path} was changed while it was read. What is done is kept; run the command again.`)
  let index = 0
  for await (const line of linesOf(path, maxBodyBytes + frameBytes)) {
    const request = requestOf(line, path)
    if (request === undefined) continue
    if (index >= roll.count || !contentOf(request).equals(roll.content(index))) throw changed()
    yield { index, request }
    index += 1
  }
  if (index !== roll.count) throw changed()
}

async function checkFile(path: string): Promise<void> {
  let isFile: boolean
  try {
    isFile = (await stat(path)).isFile()
  } catch (error) {
    throw new UsageError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code}). Check the name.`)
  }
  // It is read twice, so that nothing is paid for half a batch.
  if (!isFile) throw new UsageError(`${path} is not a file. A batch is read twice, so it cannot come through a pipe.`)
}
