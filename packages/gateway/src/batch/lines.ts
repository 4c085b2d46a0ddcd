/** Reads a file line by line, as bytes: one line is in memory at a time, however long the file is. */
import { open } from 'node:fs/promises'
import { UsageError } from '../config/index.ts'

/** One line, without its line feed. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** Where it begins in the file, bytes. */
  readonly offset: number
  readonly bytes: Buffer
  /** False for a last line without a line feed. */
  readonly whole: boolean
}

const lineFeed = 0x0a
const readBytes = 256 * 1024

/** The lines of a file. Throws UsageError for a line longer than `maxBytes`. */
export async function* linesOf(path: string, maxBytes: number): AsyncGenerator<Line> {
  const file = await open(path)
  try {
    let kept: Buffer[] = []
    let keptBytes = 0
    let number = 1
    let offset = 0
    const line = (end: Buffer, whole: boolean): Line => {
      const bytes = kept.length === 0 ? end : Buffer.concat([...kept, end])
      const made = { number, offset, bytes, whole }
      kept = []
      keptBytes = 0
      number += 1
      offset += bytes.length + 1
      return made
    }
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(readBytes), 0, readBytes)
      if (bytesRead === 0) break
      let from = 0
      for (let at = buffer.indexOf(lineFeed); at >= 0 && at < bytesRead; at = buffer.indexOf(lineFeed, from)) {
        yield line(buffer.subarray(from, at), true)
        from = at + 1
      }
      kept.push(buffer.subarray(from, bytesRead))
      keptBytes += bytesRead - from
      if (keptBytes > maxBytes) throw tooLong(number, path, maxBytes)
    }
    if (keptBytes > 0) yield line(Buffer.alloc(0), false)
  } finally {
    await file.close()
  }
}

function tooLong(number: number, path: string, maxBytes: number): UsageError {
  return new UsageError(`Line ${number} of ${path} is longer than ${maxBytes} bytes. Raise --max-body, or split it.`)
}
