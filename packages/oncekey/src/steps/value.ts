/** What a step made, as bytes, and as the value that it and every later attempt get. */
import { IdempotencyError } from '../core/errors.ts'
import { type Codec, decodeError, decodeValue, encodeError, encodeValue } from '../core/value.ts'
import { concat } from '../core/window.ts'
import type { StepEntry } from './entry.ts'

/** A value as an entry keeps it. */
export type Kept = Pick<StepEntry, 'state' | 'codec' | 'bytes'>

/** Of a value. A stream is read to its end, for a step is recorded or it is not. Throws `step_too_large` past `most`. */
export async function keptValue(value: unknown, codec: Codec | undefined, most: number): Promise<Kept> {
  if (value instanceof ReadableStream) return { state: 'value', codec: 'stream', bytes: await collected(value, most) }
  return { state: 'value', ...encodeValue(value, codec) }
}

/** Of an error that is the step's outcome. */
export function keptError(error: Error): Kept {
  return { state: 'error', codec: 'json', bytes: encodeError(error) }
}

/** The value of an entry that has ended; throws the error that was recorded. */
export function endedWith({ state, codec, bytes }: Kept, known: Codec | undefined): unknown {
  if (state === 'error') throw decodeError(bytes)
  return codec === 'stream' ? streamOf(bytes) : decodeValue(bytes, codec, known)
}

/** The refusal of what does not fit. */
export function tooLarge(most: number): IdempotencyError {
  const sentence = `The steps of this operation make more than ${most} bytes together. Let a step return a reference to what it made, or raise maxStepBytes.`
  return new IdempotencyError('step_too_large', sentence)
}

async function collected(stream: ReadableStream<unknown>, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return concat(pieces, length)
    if (!(value instanceof Uint8Array)) {
      await reader.cancel()
      throw new IdempotencyError('config_invalid', 'A step returned a stream of something else than bytes.')
    }
    length += value.length
    if (length > most) {
      await reader.cancel()
      throw tooLarge(most)
    }
    pieces.push(value)
  }
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes)
      controller.close()
    },
  })
}
