/** Bodies in LMDB: inline beside the record, or chunks of an attempt in order. */
import type { RecordId } from '../../core/key.ts'
import type { IdempotencyRecord } from '../../core/record.ts'
import { inlineBodyBytes } from '../../core/store.ts'
import type { Entry } from './entries.ts'
import { type ChunkKey, type Environment, keys } from './environment.ts'

/** The body of the record's own attempt from an offset on, at most about `most` bytes; nothing of any other attempt. */
export function bodyFrom(
  environment: Environment,
  id: RecordId,
  { record, body }: Entry,
  offset: number,
  most: number,
): Uint8Array[] {
  if (offset >= record.bodyLength) return []
  if (body !== undefined) return [body.subarray(offset)]
  const pieces: Uint8Array[] = []
  let at = offset
  for (const chunk of chunksFrom(environment, id, record, offset)) {
    if (at >= record.bodyLength || at - offset >= most) break
    // The first may begin before the offset; after it each begins where the last ended, and a hole is the end.
    if (chunk.offset > at) break
    if (chunk.offset < at && pieces.length > 0) continue
    const piece = chunk.bytes.subarray(at - chunk.offset, record.bodyLength - chunk.offset)
    pieces.push(piece)
    at += piece.length
  }
  return pieces
}

/** A completed outcome's whole body when it is small, so that a replay needs no second call (S5). */
export function smallBody(environment: Environment, id: RecordId, entry: Entry): Uint8Array | undefined {
  const { record } = entry
  if (record.state !== 'completed' || record.bodyLength > inlineBodyBytes) return undefined
  const body = entry.body ?? joined(bodyFrom(environment, id, entry, 0, inlineBodyBytes))
  return body.length === record.bodyLength ? body : undefined
}

/** Chunks that end behind `offset`, in order. */
function* chunksFrom(
  environment: Environment,
  id: RecordId,
  { attemptId }: IdempotencyRecord,
  offset: number,
): Generator<{ offset: number; bytes: Buffer }> {
  const before = {
    start: keys.chunk(id, attemptId, offset),
    end: keys.chunk(id, attemptId, -1),
    reverse: true,
    limit: 1,
  }
  let first = offset
  for (const key of environment.getKeys(before)) first = (key as ChunkKey)[3]
  for (const { key, value } of environment.getRange({
    start: keys.chunk(id, attemptId, first),
    end: keys.chunk(id, attemptId, Number.POSITIVE_INFINITY),
  })) {
    const at = (key as ChunkKey)[3]
    if (at + value.length > offset) yield { offset: at, bytes: value }
  }
}

/** One array; a single piece is handed through. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
}

/** Byte for byte. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
