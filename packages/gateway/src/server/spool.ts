/** Keeps an upload on the disk while it is fingerprinted: it may be larger than memory, and is sent on only once it is claimed. */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { ContentReader, IdempotencyError, isStreamable, nodeDigest, type StreamedContent } from 'oncekey/http'
import type { HeldBody } from './body.ts'

/** Up to this an upload is held in memory like any other body. */
const inMemoryBytes = 4 * 1024 * 1024
const chunkBytes = 256 * 1024
const nothing = Buffer.alloc(0)

/** Is the body one that goes over the disk? One of unknown length does: nobody knows what is coming. */
export function isUpload(request: IncomingMessage): boolean {
  const length = request.headers['content-length']
  const chunked = request.headers['transfer-encoding'] !== undefined
  return (chunked || Number(length ?? 0) > inMemoryBytes) && isStreamable(request.rawHeaders)
}

/**
 * Reads the body into a file that has no name, so that nothing is left of it whatever happens to this process. Undefined
 * when the caller hung up before its end. Throws `body_too_large`, and `spool_failed` where the disk is full.
 */
export async function spool(request: IncomingMessage, maxBytes: number): Promise<HeldBody | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
  const file = await nameless()
  try {
    const reader = new ContentReader(nodeDigest, request.rawHeaders)
    let length = 0
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > maxBytes) throw tooLarge(maxBytes)
      reader.push(chunk)
      await write(file, chunk)
    }
    return held(file, reader.end())
  } catch (error) {
    await file.close()
    if (error instanceof IdempotencyError) {
      request.resume()
      throw error
    }
    if (!request.complete && request.destroyed) return undefined
    throw failed(error)
  }
}

function held(file: FileHandle, streamed: StreamedContent): HeldBody {
  // From its first byte, as often as it has to be sent. By the handle and not by its number, which after a close is another file's.
  const send = (): Readable => file.createReadStream({ start: 0, autoClose: false, highWaterMark: chunkBytes })
  return { body: nothing, streamed, send, release: () => void file.close().catch(() => undefined) }
}

/** A file that is open and in no folder any more. */
async function nameless(): Promise<FileHandle> {
  const path = join(tmpdir(), `oncekey-upload-${process.pid}-${randomBytes(9).toString('base64url')}`)
  try {
    const file = await open(path, 'wx+', 0o600)
    await unlink(path)
    return file
  } catch (error) {
    throw failed(error)
  }
}

async function write(file: FileHandle, chunk: Buffer): Promise<void> {
  try {
    for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten
  } catch (error) {
    throw failed(error)
  }
}

function tooLarge(maxBytes: number): IdempotencyError {
  const sentence = `The upload has more than ${maxBytes} bytes. Send less, or raise --max-upload.`
  return new IdempotencyError('body_too_large', sentence)
}

function failed(cause: unknown): IdempotencyError {
  const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown'
  const sentence = `The gateway could not keep the upload in ${tmpdir()} (${reason}). Nothing was executed; try again.`
  return new IdempotencyError('spool_failed', sentence, { cause, retryAfterMs: 5_000 })
}
