/** Bodies in LMDB: inline beside the record, or chunks of an attempt in order. */
import { decodeRecord } from '../../core/encoding.ts'
import type { RecordId } from '../../core/key.ts'
import type { AttemptId } from '../../core/record.ts'
import { inlineBodyBytes } from '../../core/store.ts'
import { type Environment, type Key, keys } from './environment.ts'

/** The body of the record's own attempt from an offset on, at most about `most` bytes; nothing of any other attempt. */
export function bodyFrom(
  environment: Environment,
  id: RecordId,
  attemptId: AttemptId,
  offset: number,
  most: number,
): Uint8Array[] {
  const value = environment.get(keys.record(id))
  if (value === undefined) return []
  const { record, body } = decodeRecord(value)
  if (record.attemptId !== attemptId || offset >= record.bodyLength) return []
  if (body !== undefined) return [body.subarray(offset)]
  const pieces: Uint8Array[] = []
  let at = offset
  for (const chunk of chunksFrom(environment, id, attemptId, offset)) {
    // What an attempt left behind its seal, or a hole, is no part of the body.
    if (chunk.offset > at || at >= record.bodyLength || at - offset >= most) break
    const piece = chunk.bytes.subarray(at - chunk.offset, record.bodyLength - chunk.offset)
    pieces.push(piece)
    at += piece.length
  }
  return pieces
}

/** Chunks that end behind `offset`, in order. */
function* chunksFrom(
  environment: Environment,
  id: RecordId,
  attemptId: AttemptId,
  offset: number,
): Generator<{ offset: number; bytes: Buffer }> {
  const before = {
    start: keys.chunk(id, attemptId, offset),
    end: keys.chunk(id, attemptId, -1),
    reverse: true,
    limit: 1,
  }
  let first = offset
  for (const key of environment.getKeys(before)) first = (key as [string, string, string, number])[3]
  for (const { key, value } of environment.getRange({
    start: keys.chunk(id, attemptId, first),
    end: keys.chunk(id, attemptId, Number.POSITIVE_INFINITY),
  })) {
    const at = (key as [string, string, string, number])[3]
    if (at + value.length > offset) yield { offset: at, bytes: value }
  }
}

/** Fewer chunks than this are deleted with the write that drops them; more are left to the sweeper. */
const dropAtOnce = 64

/** The chunks to delete with a write; none when there are so many that the write would hold up the others. */
export function chunksToDrop(environment: Environment, id: RecordId, attemptId: AttemptId): readonly Key[] {
  const start = keys.chunk(id, attemptId, 0)
  const end = keys.chunk(id, attemptId, Number.POSITIVE_INFINITY)
  const found = [...environment.getKeys({ start, end, limit: dropAtOnce + 1 })]
  return found.length > dropAtOnce ? [] : found
}

/** Puts bytes as chunks of at most 256 KiB; called inside a conditional write. */
export function putPieces(
  environment: Environment,
  id: RecordId,
  attemptId: AttemptId,
  offset: number,
  bytes: Uint8Array,
): void {
  for (let at = 0; at < bytes.length; at += inlineBodyBytes) {
    const piece = bytes.subarray(at, at + inlineBodyBytes)
    const value = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    void environment.put(keys.chunk(id, attemptId, offset + at), value, 1)
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
