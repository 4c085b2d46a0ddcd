/** Content codings undone with Node's zlib: whole bodies and streams, bounded. */
import {
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  gunzipSync,
  inflateSync,
} from 'node:zlib'
import { IdempotencyError } from '../core/errors.ts'

type Whole = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array

const whole: Readonly<Record<string, Whole>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
}

/** Longest buffer that Node can make. */
const mostBytes = 2 ** 32

/** Undoes one coding; undefined when it is unknown or the bytes are not in it. Throws `body_too_large` past `maxBytes`. */
function decode(coding: string, bytes: Uint8Array, maxBytes: number): Uint8Array | undefined {
  const undo = whole[coding]
  if (undo === undefined) return undefined
  try {
    return undo(bytes, { maxOutputLength: Math.min(Math.max(maxBytes, 1), mostBytes) })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') return undefined
    throw new IdempotencyError('body_too_large', `The body decodes to more than ${maxBytes} bytes. Send less.`)
  }
}

/** Undoes a coding while the bytes come in; `done` gets undefined once the bytes are not in the coding. */
interface RunningDecoder {
  write(bytes: Uint8Array, done: (decoded: Uint8Array | undefined) => void): void
}

function stream(coding: string): RunningDecoder | undefined {
  const flush = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH }
  const brotli = { flush: constants.BROTLI_OPERATION_FLUSH, finishFlush: constants.BROTLI_OPERATION_FLUSH }
  const decoder =
    coding === 'gzip' || coding === 'x-gzip'
      ? createGunzip(flush)
      : coding === 'deflate'
        ? createInflate(flush)
        : coding === 'br'
          ? createBrotliDecompress(brotli)
          : undefined
  if (decoder === undefined) return undefined
  let decoded: Uint8Array[] = []
  let pending: ((decoded: Uint8Array | undefined) => void) | undefined
  const settle = (result: Uint8Array | undefined): void => {
    const done = pending
    pending = undefined
    done?.(result)
  }
  decoder.on('data', (bytes: Uint8Array) => decoded.push(bytes))
  decoder.on('error', () => settle(undefined))
  return {
    write(bytes, done) {
      if (decoder.errored || decoder.destroyed) return done(undefined)
      pending = done
      decoder.write(bytes, (error) => {
        if (error) return settle(undefined)
        // The bytes come as `data` before the callback, or in the same turn.
        setImmediate(() => {
          const result = Buffer.concat(decoded)
          decoded = []
          settle(result)
        })
      })
    },
  }
}

/** Node's codings: gzip, deflate, br. */
export const nodeCodings: { readonly decode: typeof decode; readonly stream: typeof stream } = { decode, stream }
